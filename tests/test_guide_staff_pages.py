"""The label and the staff's two pages say the same in every language, and what they say is true of the program."""

import re
from pathlib import Path

import pytest

from appliance.config import Config
from appliance.tracking import viewer_choice

GUIDE = Path(__file__).parent.parent / "deploy/guide"
PAGES = ("label.md", "daily.md", "what-to-do.md")
# Pages that a native speaker has proof-read, such as ("de", "label.md"): the mark below is gone from them.
PROOF_READ: tuple[tuple[str, str], ...] = ()
UNREAD = {
    "en": "*Not yet proof-read by a native speaker.*",
    "de": "*Noch nicht von einer muttersprachlichen Person Korrektur gelesen.*",
    "fr": "*Pas encore relu par une personne de langue maternelle française.*",
    "es": "*Aún no revisado por una persona de lengua materna española.*",
    "it": "*Non ancora rivisto da una persona di madrelingua italiana.*",
}
OTHERS = sorted(set(UNREAD) - {"en"})


def _text(language: str, page: str) -> str:
    return (GUIDE / language / page).read_text("utf-8")


def _blocks(text: str) -> list[str]:
    """Return headings, paragraphs, quotes, list items and rows of tables, each as one line."""
    joined = re.sub(r"\n(?!\n|#|\d+\. |- |\||> \*\*)(?:> |  +)?", " ", text)
    return [line.strip() for line in joined.splitlines() if line.strip()]


def _form(block: str) -> tuple[object, ...]:
    """Return what a translation keeps: the kind of block, cells, numbers, bold words, commands, links, blanks."""
    kind = re.match(r"#+ |\d+\. |- \[ \] |- |\||> |\*|", block)
    return (
        kind.group() if kind else "",
        block.count("|"),
        sorted(re.findall(r"\d+", block)),
        block.count("**"),
        re.findall(r"`[^`]+`", block),
        [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", block)],
        len(re.findall("_{4,}", block)),
    )


def _languages_in_the_index() -> set[str]:
    return set(re.findall(r"\((\w\w)/label\.md\)", (GUIDE / "README.md").read_text("utf-8")))


def test_every_language_of_the_index_has_all_pages() -> None:
    folders = {path.parent.name for path in GUIDE.glob("??/*.md")}
    assert folders == _languages_in_the_index() == set(UNREAD)
    for language in folders:
        assert {path.name for path in (GUIDE / language).glob("*")} == set(PAGES), language


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_every_step_number_and_link(language: str, page: str) -> None:
    english, translated = _blocks(_text("en", page)), _blocks(_text(language, page))
    assert len(english) >= 4
    for theirs, ours in zip(translated, english, strict=True):
        assert _form(theirs) == _form(ours), f"{theirs}\n{ours}"


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_left_in_english(language: str, page: str) -> None:
    # The proof-reading mark is the language's own, so no translation can pass for another language's.
    assert (_text(language, page).splitlines()[2] == UNREAD[language]) == ((language, page) not in PROOF_READ)
    same = set(_blocks(_text("en", page))) & set(_blocks(_text(language, page)))
    assert {block for block in same if re.search(r"[a-z]", block)} == set()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", sorted(UNREAD))
def test_a_page_for_staff_fits_a_sheet_and_its_links_work(language: str, page: str) -> None:
    text = _text(language, page)
    assert len(text) < 3000, "about what a sheet of A4 holds"
    for link, _, anchor in re.findall(r"\]\(([^)#]+)(#([^)]*))?\)", text):
        target = GUIDE / language / link
        heads = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
        assert not anchor or anchor in [head.lower().replace(" ", "-") for head in heads]


def test_the_times_on_the_staff_pages_are_the_programs() -> None:
    daily, what = _text("en", "daily.md"), _text("en", "what-to-do.md")
    tracking = Config().tracking
    assert f"no movement for {tracking.fixture_after:.0f} seconds" in daily
    assert f"Wait for {tracking.fixture_after:.0f} seconds. Then the portrait ignores it" in what
    for page in (daily, what):
        assert f"up to {viewer_choice._MAX_SHARERS} people in turn" in page
    assert f"in front of it for {viewer_choice._ROUND_TIME:.0f} seconds" in daily
    assert tracking.share


def test_the_staff_pages_and_the_guide_agree() -> None:
    trouble = (GUIDE / "troubleshooting.md").read_text("utf-8")
    assert "for up to a minute" in trouble
    assert "Wait for 1 minute" in _text("en", "daily.md")
    assert "Wait for 1 minute" in _text("en", "what-to-do.md")
