import hashlib

import pytest

from plad.data import SOURCES
from plad.data.source import Source, example, fold, nonempty, prompt_id, unprintable
from plad.errors import PladError


def test_an_id_is_the_start_of_the_sha256_of_the_text():
    assert prompt_id("abc") == "ba7816bf8f01cfea"  # FIPS 180-2, appendix B.1


def test_a_conversation_is_hashed_as_text():
    messages = ({"role": "user", "content": "hi"},)
    assert prompt_id(messages) == hashlib.sha256(b"user: hi").hexdigest()[:16]
    assert example(messages, "hello").reference == "hello"


def test_fold():
    assert fold("  a\n\tb  c ") == "a b c"


@pytest.mark.parametrize(
    ("text", "bad"), [("plain ü 🙂", None), ("a\x00", "U+0000"), ("\ud800", "U+D800"), ("x\udfff", "U+DFFF")]
)
def test_unprintable(text, bad):
    assert unprintable(text) == bad


def test_nonempty():
    assert list(nonempty([0, None], "unused")) == [0, None]
    with pytest.raises(PladError, match="nothing here"):
        list(nonempty([], "nothing here"))


@pytest.mark.parametrize(("name", "source"), SOURCES.items())
def test_the_table_of_sources_agrees_with_their_types(name, source):
    assert issubclass(source, Source)
    assert source.model_fields["type"].default == name
