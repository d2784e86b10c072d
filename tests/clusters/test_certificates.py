"""Certificates say who their holder is, what for, and who vouches."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubewitness.clusters.certificates import Authority, KeyPair


def load(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def usages(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def modes(pair: KeyPair) -> set[int]:
    return {file.stat().st_mode & 0o777 for file in (pair.certificate, pair.key)}


def test_a_client_is_named_by_user_and_groups(tmp_path: Path) -> None:
    issued = Authority(tmp_path, "ca").issue("kubelet", "system:node:node1", ["system:nodes"])
    certificate = load(issued.certificate)
    names = [each.value for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [each.value for each in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    assert (names, groups) == (["system:node:node1"], ["system:nodes"])
    assert usages(certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert modes(issued) == {0o600}


def test_a_server_is_named_by_addresses_and_hosts(tmp_path: Path) -> None:
    issued = Authority(tmp_path, "ca").issue("server", "server", hosts=["10.0.0.1", "localhost"])
    certificate = load(issued.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert usages(certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}


def test_only_the_authority_vouches(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "a", "ca"), Authority(tmp_path / "b", "ca")
    certificate = load(authority.issue("user", "user").certificate)
    certificate.verify_directly_issued_by(load(authority.certificate))
    with pytest.raises(InvalidSignature):
        certificate.verify_directly_issued_by(load(other.certificate))


def test_a_key_belongs_to_its_certificate(tmp_path: Path) -> None:
    issued = Authority(tmp_path, "ca").issue("user", "user")
    key = load_pem_private_key(issued.key.read_bytes(), None)
    assert key.public_key() == load(issued.certificate).public_key()
