import pytest
from hypothesis import given, strategies

from tamperscan.serve.dicomweb.multipart import MultipartError, boundary_of, first_part

HEAD = b"--mark\r\nContent-Type: application/dicom\r\n\r\n"


def chunked(body, size):
    return (body[at : at + size] for at in range(0, len(body), size))


def test_the_boundary_is_found():
    assert boundary_of('multipart/related; type="application/dicom"; boundary="mark"') == b"mark"
    assert boundary_of("multipart/related; boundary=mark") == b"mark"


def test_a_single_part_has_no_boundary():
    assert boundary_of("application/dicom") is None
    assert boundary_of("") is None


@pytest.mark.parametrize("kind", ["multipart/related", f"multipart/related; boundary={'x' * 1000}"])
def test_parts_without_a_boundary_are_told(kind):
    with pytest.raises(MultipartError):
        boundary_of(kind)


@given(
    content=strategies.binary(max_size=300),
    size=strategies.integers(1, 50),
    before=strategies.sampled_from([b"", b"\r\n"]),
)
def test_the_first_part_comes_out_however_it_arrives(content, size, before):
    body = before + HEAD + content + b"\r\n--mark--\r\n"
    if b"\r\n--mark" not in content:
        assert b"".join(first_part(chunked(body, size), b"mark")) == content


def test_further_parts_are_left():
    body = HEAD + b"one\r\n" + HEAD + b"two\r\n--mark--"
    assert b"".join(first_part([body], b"mark")) == b"one"


@pytest.mark.parametrize(
    "body", [b"", b"--mark", HEAD, HEAD + b"one", HEAD + b"one\r\n--mar", b"--other\r\n\r\nx\r\n--other--"]
)
def test_a_body_that_breaks_off_is_told(body):
    with pytest.raises(MultipartError, match="broke off"):
        list(first_part([body], b"mark"))


def test_endless_headers_are_told():
    with pytest.raises(MultipartError, match="does not begin"):
        list(first_part([b"--mark\r\n", *[b"X: y\r\n" * 1000] * 100], b"mark"))


def test_memory_stays_bounded():
    pieces = (b"x" * 1000 for _ in range(1000))
    sizes = [len(piece) for piece in first_part((*[HEAD], *pieces, b"\r\n--mark--"), b"mark")]
    assert sum(sizes) == 1_000_000
    assert max(sizes) < 2100
