"""What an operator sees while a command reads or writes many lines: the bar, the rate and the time left."""

import io

from shared.commands.progress import LOG_SECONDS, TERMINAL_SECONDS, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bar_has_the_rate_and_the_time_left() -> None:
    clock = Clock()
    progress = Progress(io.StringIO(), 1_000, clock)
    clock.now += 60

    assert progress.text(3_000, 250) == "[########......................]  25%  3000 lines, 50 a second, 0:03:00 left"
    assert progress.text(3_000, 2_000).startswith(f"[{'#' * 30}] 100%")


def test_without_a_size_there_is_a_rate_only() -> None:
    clock = Clock()
    progress = Progress(io.StringIO(), None, clock)
    clock.now += 2
    assert progress.text(100, 9_000) == "100 lines, 50 a second"


def test_a_terminal_shows_one_line_that_changes_and_a_log_a_line_now_and_then() -> None:
    clock = Clock()
    terminal, log = Terminal(), io.StringIO()
    shown, logged = Progress(terminal, None, clock), Progress(log, None, clock)
    for _ in range(4):
        clock.now += TERMINAL_SECONDS
        shown.note(1, 1)
        logged.note(1, 1)
    clock.now += LOG_SECONDS
    logged.note(1, 1)
    shown.close()
    logged.close()

    assert (terminal.getvalue().count("\r"), terminal.getvalue().count("\n")) == (4, 1)
    assert (log.getvalue().count("\r"), log.getvalue().count("\n")) == (0, 1)
