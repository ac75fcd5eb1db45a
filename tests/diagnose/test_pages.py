"""The documentation's page of each cause: complete, and its example texts say what they are examples of."""

import pytest

from pullwhy.diagnose.catalogue.causes import CATALOGUE, same_fault
from pullwhy.diagnose.catalogue.page import Page
from pullwhy.diagnose.catalogue.pages import PAGES
from pullwhy.diagnose.classify.classifier import classify
from pullwhy.model import CauseId

WITHOUT_A_TEXT = {CauseId.TRANSIENT}
"""Causes that no failure's text can tell."""
FOLK_WISDOM = (
    "docker pull",
    "ctr pull",
    " ping ",
    "systemctl restart containerd",
    "IfNotPresent",
    "skip_verify",
    "insecure_skip",
)
TEXTS = [(cause, text) for cause, page in PAGES.items() for text in page.texts]


def test_every_cause_has_a_page_with_examples() -> None:
    assert set(PAGES) == set(CATALOGUE)
    assert {cause for cause, page in PAGES.items() if not page.texts} == WITHOUT_A_TEXT


@pytest.mark.parametrize(("cause", "text"), TEXTS, ids=[f"{cause}-{number}" for number, (cause, _) in enumerate(TEXTS)])
def test_an_example_is_classified_as_what_it_is_an_example_of(cause: CauseId, text: str) -> None:
    told = classify(text)
    assert told is not None
    assert same_fault(cause, told.cause, told.alternatives), told


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
def test_no_page_advises_folk_wisdom(page: Page) -> None:
    for words in (page.about, page.proof, page.avoid):
        assert not [folk for folk in FOLK_WISDOM if folk in words]
        assert words.endswith(".")
