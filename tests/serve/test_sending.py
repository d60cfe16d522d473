"""One attempt at sending, and what is told of each object."""

import pytest

pytest.importorskip("pynetdicom")

import numpy as np
from pydicom.uid import generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from tamperscan.bench.node_instances import make_image
from tamperscan.errors import ForgedError, ServeError
from tamperscan.scan.forged import REMARK
from tamperscan.serve.sending import MOST_CONTEXTS, UnreachableError, read_outgoing, send_by_store
from tamperscan.serve.settings import DicomDestination


@pytest.fixture
def write(tmp_path):
    """Writes an object, and gives it as it is to be sent."""

    def write(name="result", **facts):
        image = make_image(*(generate_uid() for _ in "abc"), index=0, side=8, generator=np.random.default_rng())
        for keyword, value in facts.items():
            setattr(image, keyword, value)
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        path = tmp_path / f"{name}.dcm"
        image.save_as(path, enforce_file_format=True)
        return read_outgoing(path)

    return write


@pytest.fixture
def serve():
    """Starts a receiver that takes the SOP classes it is told, and gives its port."""
    servers = []

    def serve(*sop_classes, on_request=lambda event: None):
        entity = AE(ae_title="ARCHIVE")
        entity.require_called_aet = True
        for one in sop_classes:
            entity.add_supported_context(one)
        handlers = [(evt.EVT_C_STORE, _take), (evt.EVT_REQUESTED, on_request)]
        servers.append(entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers))
        return servers[-1].server_address[1]

    yield serve
    for server in servers:
        server.shutdown()


def _take(event):
    return 0


def store_at(port, ae_title="ARCHIVE"):
    return DicomDestination(kind="dicom", host="127.0.0.1", port=port, ae_title=ae_title)


def test_more_sop_classes_than_an_association_has_contexts_take_several(write, serve):
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    assert len(classes) > MOST_CONTEXTS
    objects = [write(str(number), SOPClassUID=one) for number, one in enumerate(classes)]
    wanted = (objects[0], objects[-1])
    port = serve(*(one.context[0] for one in wanted))
    outcomes = list(send_by_store(store_at(port), objects, calling="NODE"))
    assert [one for one, _ in outcomes] == objects
    assert [one for one, problem in outcomes if not problem] == list(wanted)


def test_many_objects_of_a_sop_class_that_the_receiver_does_not_take_are_no_reason_to_wait_for_it(write, serve):
    """It is there, though it accepts no presentation context; and one is proposed for all of them."""
    objects = [write(str(number)) for number in range(MOST_CONTEXTS + 2)]
    proposed = []
    port = serve(Verification, on_request=lambda event: proposed.append(len(event.assoc.requestor.requested_contexts)))
    outcomes = list(send_by_store(store_at(port), objects, calling="NODE"))
    assert {problem for _, problem in outcomes} == {"the receiver takes no objects of this SOP class"}
    assert len(outcomes) == len(objects)
    assert proposed == [1]


def test_a_rejected_association_is_out_of_reach(write, serve):
    with pytest.raises(UnreachableError, match="rejects"):
        list(send_by_store(store_at(serve(CTImageStorage), "WRONG"), [write()], calling="NODE"))


def test_a_forged_object_has_an_error_of_its_own(write):
    with pytest.raises(ForgedError):
        write(SeriesDescription=REMARK)


@pytest.mark.parametrize("content", [b"", b"no DICOM at all", bytes(132)])
def test_a_damaged_file_is_told(tmp_path, content):
    (tmp_path / "damaged.dcm").write_bytes(content)
    with pytest.raises(ServeError, match=r"damaged\.dcm: can't be read \(it is no whole DICOM object\)"):
        read_outgoing(tmp_path / "damaged.dcm")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ServeError, match="No such file"):
        read_outgoing(tmp_path / "missing.dcm")
