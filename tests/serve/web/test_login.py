from tamperscan.serve.web.login import LASTS, is_valid, make_cookie

TOKEN = "a-long-random-token"


def test_cookie_is_valid_for_a_day():
    cookie = make_cookie(TOKEN, now=1000)
    assert is_valid(cookie, TOKEN, now=1000)
    assert is_valid(cookie, TOKEN, now=999 + LASTS)
    assert not is_valid(cookie, TOKEN, now=1001 + LASTS)


def test_cookie_of_another_token_is_void():
    assert not is_valid(make_cookie(TOKEN, now=1000), "another-random-token", now=1000)


def test_cookie_can_not_be_prolonged():
    until, _, seal = make_cookie(TOKEN, now=1000).partition(".")
    assert not is_valid(f"{int(until) + 1}.{seal}", TOKEN, now=1000)


def test_nonsense_is_no_cookie():
    for cookie in ("", ".", "1", "x.y", "²." + "0" * 64, f"{'9' * 5000}.x", "1.\u1234"):
        assert not is_valid(cookie, TOKEN, now=0)


def test_token_is_not_in_the_cookie():
    assert TOKEN not in make_cookie(TOKEN)
