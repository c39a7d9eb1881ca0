import json

import pytest

from plad.data.tldr import TLDR
from plad.errors import PladError


def write(tmp_path, *rows):
    file = tmp_path / "tldr.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def test_prompt_and_completion(tmp_path):
    file = write(tmp_path, {"prompt": "POST: long\n\nTL;DR:", "completion": " short"})
    (prompt,) = TLDR(path=file).prompts()
    assert (prompt.prompt, prompt.reference) == ("POST: long\n\nTL;DR:", "short")


def test_the_columns_of_the_filtered_set(tmp_path):
    file = write(
        tmp_path, {"id": "t3_1", "subreddit": "cats", "title": "A cat", "post": "It sat.", "summary": "Cat sat."}
    )
    (prompt,) = TLDR(path=file).prompts()
    assert prompt.prompt == "SUBREDDIT: r/cats\n\nTITLE: A cat\n\nPOST: It sat.\n\nTL;DR:"
    assert prompt.reference == "Cat sat."


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "a", "completions": "b"}], "Did you mean 'completions'"),
        ([{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": None}], "line 2.*must hold text"),
        ([], "holds no example"),
    ],
)
def test_bad_rows(tmp_path, rows, message):
    with pytest.raises(PladError, match=message):
        list(TLDR(path=write(tmp_path, *rows)).prompts())
