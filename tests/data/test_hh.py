import gzip
import json
import logging

import pytest

from plad.data.hh import HH, parse
from plad.errors import PladError


def test_a_transcript_becomes_messages_and_a_reference():
    prompt = parse("\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Why?\nTell: me.\n\nAssistant: Because.\n\nOf it.")
    assert prompt.prompt == (
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Why?\nTell: me."},
    )
    assert prompt.reference == "Because.\n\nOf it."


def test_turns_of_one_speaker_are_joined():
    prompt = parse("\n\nHuman: One\n\nHuman: Two\n\nAssistant: Three")
    assert prompt.prompt == ({"role": "user", "content": "One\n\nTwo"},)


@pytest.mark.parametrize(
    "transcript",
    [
        "no turns",
        "\n\nHuman: Hi",
        "\n\nAssistant: Hi",
        "\n\nAssistant: Hi\n\nHuman: Ho",
        "\n\nAssistant: Hi\n\nHuman: Ho\n\nAssistant: He",
        "\n\nHuman: Hi\n\nAssistant: ",
        "\n\nHuman: Hi\n\nAssistant: Ho\n\nAssistant: ",
        "\n\nHuman: \n\nAssistant: Hi",
    ],
)
def test_other_shapes_are_no_examples(transcript):
    assert parse(transcript) is None


def test_a_local_packed_file_with_a_bad_transcript(tmp_path, caplog):
    file = tmp_path / "train.jsonl.gz"
    rows = [{"chosen": "\n\nHuman: Hi\n\nAssistant: Ho", "rejected": "…"}, {"chosen": "no turns", "rejected": "…"}]
    file.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    with caplog.at_level(logging.WARNING):
        (prompt,) = HH(path=str(file)).prompts()
    assert prompt.reference == "Ho"
    assert "skipped 1 of 2" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"), [({"chosen": "no turns"}, "0 of 1 do"), ({"choosen": "x"}, "Did you mean")]
)
def test_no_usable_transcript(tmp_path, row, message):
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps(row))
    with pytest.raises(PladError, match=message):
        list(HH(path=str(file)).prompts())
