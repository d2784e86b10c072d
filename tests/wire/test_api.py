from __future__ import annotations

import pytest

from kubewitness.model.observation import ApiRequest, ApiResponse, Observation, Undecoded
from tests.wire.traffic import Talk, chunked, history, kubernetes, pod_bytes, request, response, watch_head

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
    ("content_type", "body"),
    [
        ("application/apply-patch+yaml", b"# applied\nmetadata: {name: solo, labels: &l {a: y}}\nspec: *l\n"),
        (
            "application/apply-patch+yaml",
            b'{"metadata": {"name": "solo", "labels": {"a": true}}, "spec": {"a": true}}',
        ),
        ("application/apply-patch+yaml", b"{metadata: {name: solo, labels: {a: true}}, spec: {a: on}}"),
        ("application/yaml", b"spec: {a: yes}\nmetadata:\n  name: solo\n  labels:\n    a: true\n"),
        ("application/cbor", bytes.fromhex(
            "d9d9f7a2486d65746164617461a2446e616d6544736f6c6f466c6162656c73a14161f54473706563a14161f5")),
        ("application/apply-patch+cbor;x=y", bytes.fromhex(
            "d9d9f7bf686d65746164617461a2646e616d6564736f6c6f666c6162656c73a16161f56473706563a16161f5ff")),
    ],
    ids=["apply", "apply-json", "apply-flow", "yaml", "cbor", "apply-cbor"],
)  # fmt: skip
def test_yaml_and_cbor_are_read_as_json_is(content_type: str, body: bytes) -> None:
    found = asked(request("POST", PODS, body, content_type))
    assert found.body == {"metadata": {"name": "solo", "labels": {"a": True}}, "spec": {"a": True}}
    assert (found.name, found.operations) == ("solo", ())


def test_a_json_patch_is_its_operations() -> None:
    body = b'[{"op": "test", "path": "/a", "value": 1}, {"op": "remove", "path": "/a"}]'
    found = asked(request("PATCH", f"{PODS}/p", body, "application/json-patch+json; charset=utf-8"))
    assert found.operations == ({"op": "test", "path": "/a", "value": 1}, {"op": "remove", "path": "/a"})
    assert (found.body, found.patch) == (None, "json")


@pytest.mark.parametrize(
    ("content_type", "patch"),
    [
        ("application/strategic-merge-patch+json", "strategic"),
        ("application/merge-patch+json", "merge"),
        ("Application/apply-patch+YAML; x=y", "apply"),
        ("application/apply-patch+cbor", "apply"),
        ("application/json", ""),
    ],
)
def test_a_patch_tells_of_which_kind_it_is(content_type: str, patch: str) -> None:
    assert asked(request("PATCH", f"{PODS}/p", b"", content_type)).patch == patch


def test_an_answer_tells_its_audit_id() -> None:
    _, found = observed(request("GET", PODS), response(200, b"{}", extra="Audit-ID: 0b2f\r\n"))
    assert isinstance(found, ApiResponse)
    assert found.audit_id == "0b2f"
    _, found = observed(request("GET", PODS), response(200, b"{}"))
    assert isinstance(found, ApiResponse)
    assert found.audit_id == ""


def test_trailers_are_kept() -> None:
    head = "Transfer-Encoding: chunked\r\nTrailer: Digest\r\n"
    body = chunked([b'{"metadata": {"name": "solo"}}'])[:-2] + b"Digest: x\r\nETag: 1\r\nETAG: 2\r\n\r\n"
    asked_ = request("POST", PODS, extra=head) + body
    answer = watch_head() + chunked([b"{}"])[:-2] + b"Grpc-Like: 0\r\n\r\n"
    found, answered = observed(asked_, answer)
    assert isinstance(found, ApiRequest)
    assert isinstance(answered, ApiResponse)
    assert found.trailers == {"digest": "x", "etag": "1, 2"}
    assert (found.name, answered.trailers) == ("solo", {"grpc-like": "0"})


@pytest.mark.parametrize(
    ("trailer", "why"), [(b"no colon\r\n", "wanted a header"), (b"a: b\r\n" * 101, "more than 100")]
)
def test_trailers_that_are_none_are_told(trailer: bytes, why: str) -> None:
    talk = Talk()
    answer = watch_head() + chunked([b"{}"])[:-2] + trailer + b"\r\n"
    found = history(talk.open() + talk.ask(request("GET", PODS)) + talk.answer(answer))
    assert why in found.connections[0].why_incomplete


def test_a_connection_joined_midway_stays_incomplete() -> None:
    talk = Talk()
    packets = talk.open() + talk.ask(request("GET", "/a") + request("GET", "/b"), [20, 70])
    packets += talk.answer(response(200, b"{}") + response(200, b"{}"))
    for start in range(2, len(packets)):
        found = history(packets[start:])
        assert not found.connections[0].complete, start
        assert found.missing
        assert not any(isinstance(each, ApiResponse) and each.body for each in found.observations)


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
        ("application/json-patch+json", b"[]"),
        ("application/apply-patch+yaml", b"just text"),
        ("text/plain", b"ok"),
        ("application/cbor", b"\xd9\xd9\xf7\x80"),
        ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", b"\x0a\x00"),
        ("", b"{}"),
    ],
    ids=["json-patch", "empty-patch", "yaml", "text", "cbor", "openapi", "none"],
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
        ("application/cbor", b"\xd9\xd9\xf7\xa1", "cut off"),
        ("application/yaml", b"a: b: c", "wanted YAML"),
        ("application/apply-patch+yaml", b'{"a": [}', "wanted YAML"),
        ("application/json-patch+json", b'[{"op": "test"}, 3]', "a JSON patch"),
        ("application/json-patch+json", b"{}", "a JSON patch"),
    ],
    ids=["json", "kind", "bytes", "cbor", "yaml", "apply", "operations", "patch"],
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
