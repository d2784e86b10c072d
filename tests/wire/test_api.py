from __future__ import annotations

import pytest

from kubewitness.model.observation import ApiRequest, ApiResponse, Observation, Undecoded
from tests.wire.traffic import Talk, history, kubernetes, pod_bytes, request, response

PROTOBUF = "application/vnd.kubernetes.protobuf"
PODS = "/api/v1/namespaces/default/pods"


def observed(wire: bytes, answer: bytes = b"") -> tuple[Observation, ...]:
    talk = Talk()
    packets = talk.open() + talk.ask(wire)
    return history(packets + (talk.answer(answer) if answer else [])).observations


def asked(wire: bytes) -> ApiRequest:
    (found,) = observed(wire)
    assert isinstance(found, ApiRequest)
    return found


def test_a_created_objects_name_is_taken_from_its_body() -> None:
    found = asked(request("POST", PODS, b'{"kind": "Pod", "metadata": {"name": "solo"}}'))
    assert (found.verb, found.name, found.namespace) == ("create", "solo", "default")


@pytest.mark.parametrize(
    "body",
    [b'{"metadata": {"generateName": "x-"}}', b'{"metadata": null}', b'{"metadata": {"name": null}}', b"{}"],
    ids=["generated", "null-metadata", "null-name", "empty"],
)
def test_a_created_object_without_a_name_has_none(body: bytes) -> None:
    assert not asked(request("POST", PODS, body)).name


def test_a_binding_has_the_pods_name() -> None:
    body = kubernetes("v1", "Binding", b"\x0a\x06\x0a\x04solo\x12\x0c\x0a\x04Node\x1a\x04none")
    found = asked(request("POST", f"{PODS}/solo/binding", body, PROTOBUF))
    assert (found.resource, found.subresource, found.name) == ("pods", "binding", "solo")
    assert found.body == {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "solo"},
        "target": {"kind": "Node", "name": "none"},
    }


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "application/strategic-merge-patch+json",
        "application/merge-patch+json",
        "Application/JSON;as=Table;v=v1;g=meta.k8s.io",
    ],
)
def test_a_patch_in_json_is_read(content_type: str) -> None:
    found = asked(request("PATCH", f"{PODS}/p/status", b'{"status": {"phase": "Running"}}', content_type))
    assert (found.method, found.verb, found.subresource) == ("PATCH", "patch", "status")
    assert found.body == {"status": {"phase": "Running"}}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json-patch+json", b'[{"op": "remove", "path": "/a"}]'),
        ("application/apply-patch+yaml", b"kind: Pod\n"),
        ("text/plain", b"ok"),
        ("application/cbor", b"\xd9\xd9\xf7\xa0"),
        ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", b"\x0a\x00"),
        ("", b"{}"),
    ],
    ids=["json-patch", "yaml", "text", "cbor", "openapi", "none"],
)
def test_other_content_has_no_object_and_is_no_error(content_type: str, body: bytes) -> None:
    found = asked(request("PATCH", f"{PODS}/p", body, content_type))
    assert found.body is None
    assert found.body_bytes == len(body)
    assert len(found.body_sha256) == 64


def test_a_protobuf_answer_is_the_object() -> None:
    _, found = observed(request("GET", f"{PODS}/solo"), response(200, pod_bytes("solo"), PROTOBUF))
    assert isinstance(found, ApiResponse)
    assert found.body is not None
    assert found.body["metadata"]["name"] == "solo"
    assert "nodeName" not in found.body["spec"]
    assert found.request.name == "solo"
    assert (found.sender.role, found.receiver.role) == ("kube-apiserver", "kube-scheduler")


@pytest.mark.parametrize(
    ("content_type", "body", "complaint"),
    [
        ("application/json", b'{"a": ', "wanted JSON"),
        (PROTOBUF, kubernetes("example.org/v1", "Thing", b""), "'Thing' of 'example.org/v1'"),
        (PROTOBUF, pod_bytes("x")[:-3], "does not end"),
    ],
    ids=["json", "kind", "bytes"],
)
def test_a_body_that_cannot_be_read_is_told_and_the_request_still_stands(
    content_type: str, body: bytes, complaint: str
) -> None:
    found, answer, undecoded = sorted(
        observed(request("POST", PODS, body, content_type), response(201, b"{}")),
        key=lambda each: isinstance(each, Undecoded),
    )
    assert isinstance(found, ApiRequest)
    assert found.body is None
    assert isinstance(answer, ApiResponse)
    assert isinstance(undecoded, Undecoded)
    assert complaint in undecoded.why
    assert (undecoded.first_frame, undecoded.stream) == (found.first_frame, found.stream)


def test_what_follows_garbage_is_not_guessed_at() -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(request("GET", "/a")) + talk.ask(b"\x00\x01\r\n\r\n")
    packets += talk.ask(request("GET", "/b"))
    found = history(packets)
    assert [type(o) for o in found.observations] == [ApiRequest, Undecoded]
    assert not found.connections[0].complete
    assert "start line" in found.connections[0].why_incomplete
    assert found.missing
