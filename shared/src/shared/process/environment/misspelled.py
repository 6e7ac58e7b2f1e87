"""Variables of the environment that are one slip of the keyboard away from a setting."""

from collections.abc import Iterator, Mapping

MIN_LETTERS = 8
"""Shorter names, such as PAGES, have neighbours that mean something else, such as PAGER."""


def misspelled(environ: Mapping[str, str], settings: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Each variable that is no setting but nearly one, with the setting that is probably meant."""
    for setting in sorted(settings):
        if len(setting) >= MIN_LETTERS and not environ.get(setting):
            yield from ((name, setting) for name in environ if name not in settings and _one_slip(name, setting))


def _one_slip(typed: str, meant: str) -> bool:
    """Whether one letter was left out, added, replaced, or swapped with the next one."""
    if abs(len(typed) - len(meant)) > 1:
        return False
    same = next((place for place, pair in enumerate(zip(typed, meant, strict=False)) if len(set(pair)) > 1), None)
    if same is None:
        return len(typed) != len(meant)
    here, there = typed[same:], meant[same:]
    swapped = here[:2] == there[1::-1] and here[2:] == there[2:]
    return swapped or here[1:] == there[1:] or here[1:] == there or here == there[1:]
