"""How a node listens and where its results go: the parts of its YAML file that are no rules."""

from __future__ import annotations

import ipaddress
import os
import ssl
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from tamperscan.errors import ServeError
from tamperscan.serve.dicomweb.access import Access, check_url, in_clear
from tamperscan.serve.tls_client import client_context


def _ae_title(text: str) -> str:
    if not 1 <= len(text.strip()) <= 16 or not text.isascii() or not text.isprintable() or "\\" in text:
        raise ValueError("is no AE title: 1 to 16 ASCII characters, no backslash")
    return text.strip()


def _network(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


def _readable(path: Path) -> Path:
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError(f"{path} is no file that can be read")
    return path


def _web_address(text: str) -> str:
    try:
        return check_url(text)
    except ServeError as error:
        raise ValueError(str(error).removesuffix(".")) from error


AeTitle = Annotated[str, AfterValidator(_ae_title)]
Network = Annotated[str, AfterValidator(_network)]
Port = Annotated[int, Field(ge=1, le=65535)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
WebAddress = Annotated[str, AfterValidator(_web_address)]


class Strict(BaseModel):
    """What every part of the file has in common: what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Tls(Strict):
    """Certificate of the node, and of whom it trusts.

    Attributes
    ----------
    certificate, key
        PEM files.
    clients
        PEM file of the authorities whose clients are let in; without it any client is.
    """

    certificate: ReadableFile
    key: ReadableFile
    clients: ReadableFile | None = None


class Peer(Strict):
    """Who may open an association.

    Attributes
    ----------
    ae_title
        Its AE title; ``*`` and ``?`` stand for any characters.
    address
        Its IP address or network, such as ``10.1.0.0/16``; any where it is not given.
    report_to
        ``host:port`` where it is told what is safely kept (storage commitment); on the same association where it is
        not given.
    report_tls
        Whether that call is encrypted; the node shows its own certificate there, if it has one.
    report_trust
        PEM file of the authorities that vouch for it; the system's where it is not given.
    """

    ae_title: str = "*"
    address: Network | None = None
    report_to: Annotated[str, Field(pattern=r"^[^\s:]+:\d{1,5}$")] | None = None
    report_tls: bool = False
    report_trust: ReadableFile | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.report_tls and self.report_to is None) or (self.report_trust is not None and not self.report_tls):
            raise ValueError("report_tls is about report_to, and report_trust about report_tls. Give both")
        _check_pem(self.report_trust)
        return self

    def allows(self, ae_title: str, address: str) -> bool:
        """Whether a caller is meant by this entry."""
        return self.allows_title(ae_title) and (self.address is None or _inside(address, self.address))

    def allows_title(self, ae_title: str) -> bool:
        """Whether the entry is for an AE title, wherever it calls from."""
        return fnmatchcase(ae_title, self.ae_title)


class NodeSettings(Strict):
    """How the node listens.

    Attributes
    ----------
    ae_title
        Of the node; who calls another one is turned away.
    host, port
        Where it listens. Port 0 takes a free one.
    peers
        Who may open an association; all where there is none.
    receivers
        Processes that receive at the same time.
    associations
        Most associations at a time in each of them.
    network_timeout
        Seconds of silence after which an association is ended.
    quota_gib
        Most disk space that instances may take.
    keep_free_gib
        Disk space that is left to others.
    largest_gib
        Largest instance that is taken; it is held in memory until it is whole.
    durable
        Whether an instance is on the disk before its sender is told so.
    memory_gib
        Memory that each worker, and each receiver, may take.
    metrics_port
        Port of health and metrics on the loopback address; 0 takes a free one.
    patient_names
        Whether the audit trail names patients.
    tls
        Encryption; none where it is not given.
    """

    ae_title: AeTitle = "TAMPERSCAN"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    peers: tuple[Peer, ...] = ()
    receivers: Annotated[int, Field(ge=1, le=32)] = 2
    associations: Annotated[int, Field(ge=1, le=400)] = 100
    network_timeout: Annotated[float, Field(gt=0)] = 60.0
    quota_gib: Annotated[float, Field(gt=0)] | None = None
    keep_free_gib: Annotated[float, Field(ge=0)] = 1.0
    largest_gib: Annotated[float, Field(gt=0, le=64)] = 2.0
    durable: bool = True
    memory_gib: Annotated[float, Field(gt=0)] = 6.0
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 8104
    patient_names: bool = False
    tls: Tls | None = None


class Quiet(Strict):
    """When a series is complete.

    Attributes
    ----------
    seconds
        How long nothing must have arrived.
    of
        Whether nothing of the whole study, or only of the series.
    at_most
        How long after its first image a series is screened also where it never becomes quiet.
    """

    seconds: Annotated[float, Field(gt=0)] = 60.0
    of: Literal["study", "series"] = "study"
    at_most: Annotated[float, Field(gt=0)] = 1800.0


ResultKind = Literal["report", "findings", "map", "key-images", "pdf"]
"""Structured Report, Segmentation, Parametric Map, Secondary Captures, Encapsulated PDF."""

RESULT_SOP_CLASSES: Final[dict[str, ResultKind]] = {
    Comprehensive3DSRStorage: "report",
    SegmentationStorage: "findings",
    ParametricMapStorage: "map",
    SecondaryCaptureImageStorage: "key-images",
    EncapsulatedPDFStorage: "pdf",
}


class Receiver(Strict):
    """What every receiver of results has.

    Attributes
    ----------
    results
        Which results it gets; an archive that is too old for Parametric Maps would refuse them, again and again.
    """

    results: Annotated[tuple[ResultKind, ...], Field(min_length=1)] = get_args(ResultKind)

    @field_validator("results", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def wants(self, sop_class: str) -> bool:
        """Whether it gets results of a SOP class; what is none of the kinds always goes."""
        kind = RESULT_SOP_CLASSES.get(sop_class)
        return kind is None or kind in self.results


class DicomDestination(Receiver):
    """A receiver by C-STORE.

    Attributes
    ----------
    kind
        ``dicom``.
    host, port, ae_title
        Where it is, and what it is called.
    calling
        AE title that the node gives itself there; the node's own where it is not given.
    tls
        Whether the connection is encrypted.
    trust
        PEM file of the authorities that vouch for it; the system's where it is not given.
    certificate, key
        PEM files with which the node shows who it is; nothing where they are not given.
    """

    kind: Literal["dicom"]
    host: str
    port: Port
    ae_title: AeTitle
    calling: AeTitle | None = None
    tls: bool = False
    trust: ReadableFile | None = None
    certificate: ReadableFile | None = None
    key: ReadableFile | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate needs its key, and a key its certificate. Give both, or none")
        if not self.tls and (self.trust or self.certificate):
            raise ValueError("trust, certificate and key are about encryption. Give tls: true, or leave them out")
        _check_pem(self.trust, self.certificate, self.key)
        return self

    def context(self) -> ssl.SSLContext:
        """Give the settings of an encrypted connection; like `client_context`."""
        return client_context(self.trust, self.certificate, self.key)


class StowDestination(Receiver):
    """A receiver by STOW-RS.

    Attributes
    ----------
    kind
        ``stow``.
    url
        Of its DICOMweb service, such as ``https://pacs.example/dicom-web``.
    token_file
        File with a bearer token.
    user, password_file
        Name for basic authentication, and a file with its password.
    trust
        PEM file of the authorities that vouch for it; the usual ones where it is not given.
    in_clear
        Whether a token or password may go over a network unencrypted.
    """

    kind: Literal["stow"]
    url: WebAddress
    token_file: ReadableFile | None = None
    user: str | None = None
    password_file: ReadableFile | None = None
    trust: ReadableFile | None = None
    in_clear: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("a user needs a password_file, and a password_file a user. Give both, or a token_file")
        secret = self.user or ("a token" if self.token_file else "")
        if in_clear(self.url, Access(user=secret)) and not self.in_clear:
            raise ValueError(
                "a token or password would cross the network unencrypted. Use https, or say in_clear: true"
            )
        _check_pem(self.trust)
        return self


Destination = Annotated[DicomDestination | StowDestination, Field(discriminator="kind")]


def _check_pem(trust: Path | None, certificate: Path | None = None, key: Path | None = None) -> None:
    files = ", ".join(str(path) for path in (trust, certificate, key) if path is not None)
    try:
        if files:
            client_context(trust, certificate, key)
    except OSError as error:
        raise ValueError(
            f"{files}: not the certificates or the key that they should be, in PEM, without a password"
        ) from error


def _inside(address: str, network: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found) in ipaddress.ip_network(network, strict=False)
