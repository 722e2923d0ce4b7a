"""The logs of children, on real files in a temporary folder."""

from __future__ import annotations

from pathlib import Path

from synapsenet_servers.children.logs import bound_log, last_words, open_log


def test_a_log_past_its_limit_is_kept_once_and_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    for page in (b"first", b"second", b"third"):
        with open_log(log, limit=4) as output:
            output.write(page)
    assert log.read_bytes() == b"third"
    assert log.with_name("child.log.1").read_bytes() == b"second"


def test_a_log_within_its_limit_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    for page in (b"first ", b"second"):
        with open_log(log, limit=6) as output:
            output.write(page)
    assert log.read_bytes() == b"first second"


def test_a_log_whose_copy_cannot_be_kept_is_bounded_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    log.write_bytes(b"long enough")
    log.with_name("child.log.1").mkdir()
    bound_log(log, limit=4)
    assert log.read_bytes() == b""


def test_a_log_that_is_not_there_is_within_any_limit_and_says_nothing(tmp_path: Path) -> None:
    bound_log(tmp_path / "none.log", limit=4)
    assert last_words(tmp_path / "none.log") == ""


def test_last_words_begin_at_the_start_of_a_line_and_survive_broken_text(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    log.write_bytes(b"a long first line\nsecond\xff\nthird\n")
    assert last_words(log, limit=20) == "second\ufffd\nthird"
    assert last_words(log) == "a long first line\nsecond\ufffd\nthird"
