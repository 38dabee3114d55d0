"""What the demo prints: 80 columns, no control codes but on a terminal."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from worker.lab.demo import timeline
from worker.lab.demo.facts import LEGACY, TARGET, Facts, Scene, Taken
from worker.lab.demo.screen import Screen
from worker.lab.demo.verdict import Row

if TYPE_CHECKING:
    import pytest

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
ROWS = [
    Row("lost: neither taken nor settled", "3 of 4", holds=False, broken_by=tuple("abcdefghijk")),
    Row("bulk taken twice", "0 of 2", holds=True),
    Row("median, p95 to sms.sent: legacy alone", "7 ms, 9 ms"),
]
TAKEN = (*(Taken(f"l{n}", LEGACY, 100 + n / 2) for n in range(40)), Taken("t", TARGET, 110.0))
SCENES = (Scene("legacy alone", "0%", 100.0, 108.0), Scene("1 %", "1%", 110.0, 118.0))


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def printed(file: io.StringIO) -> str:
    screen = Screen(file)
    with screen.moving():
        screen.title("a scene")
        screen.status("moving")
        screen.say("x" * 200)
    screen.verdict(ROWS, Facts(taken=TAKEN, scenes=SCENES))
    screen.last("FAIL: 1 of 2 promises broken", good=False)
    return file.getvalue()


def test_piped_output_has_no_control_code() -> None:
    assert not CONTROL.search(printed(io.StringIO()))


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in printed(Terminal())


def test_no_piped_line_is_wider_than_eighty_columns() -> None:
    assert max(map(len, printed(io.StringIO()).splitlines())) <= 80


def test_no_row_of_the_table_is_wrapped() -> None:
    text = printed(io.StringIO())
    for row in ROWS:
        assert row.promise in text
        assert row.measured in text


def test_each_row_says_whether_it_holds() -> None:
    text = printed(io.StringIO())
    assert re.search(r"lost.*FAIL", text)
    assert re.search(r"bulk taken twice.*PASS", text)
    assert re.search(r"median.*figure", text)


def test_a_broken_promise_is_followed_by_its_message_ids() -> None:
    shown = "lost: neither taken nor settled: a, b, c, d, e, f, g, h and 3 more"
    assert shown in printed(io.StringIO())


def test_the_verdict_is_the_last_line() -> None:
    assert printed(io.StringIO()).splitlines()[-1] == "FAIL: 1 of 2 promises broken"


def test_an_output_without_blocks_gets_ascii() -> None:
    raw = io.BytesIO()
    plain = io.TextIOWrapper(raw, encoding="ascii")
    Screen(plain).verdict(ROWS, Facts(taken=TAKEN, scenes=SCENES))
    plain.flush()
    assert b"legacy" in raw.getvalue()


def test_timeline_has_a_line_with_the_total_of_each_provider() -> None:
    lines = timeline.draw(TAKEN, SCENES)
    totals = {line.split()[0]: line.split()[-1] for line in lines[1:3]}
    assert totals == {TARGET: "1", LEGACY: "40"}


def test_timeline_shows_a_single_send_and_blanks_where_there_is_none() -> None:
    line = next(each for each in timeline.draw(TAKEN, SCENES) if each.startswith(TARGET))
    bars = line[16:-7]
    assert bars.strip() in set(timeline.BLOCKS[1:])


def test_timeline_puts_each_label_where_its_scene_began() -> None:
    lines = timeline.draw(TAKEN, SCENES)
    sent = next(each for each in lines if each.startswith(TARGET))
    first = next(n for n, char in enumerate(sent[16:-7]) if char != " ") + 16
    assert lines[-1].index("0%") == 16
    assert lines[-1].index("1%") == first


def test_timeline_leaves_out_a_label_without_room() -> None:
    crowded = [Scene("a", "aaaa", 100.0, 101.0), Scene("b", "bbbb", 100.5, 101.0)]
    assert timeline.draw(TAKEN, crowded)[-1].split() == ["aaaa"]


def test_timeline_without_a_send_says_so() -> None:
    assert timeline.draw((), SCENES) == ["no SMS was taken"]
