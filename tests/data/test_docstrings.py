import logging
import sys
import textwrap

import pytest

from plad.data.docstrings import Docstrings, locate, summarise
from plad.errors import PladError

MODULE = '''
    """A module."""
    import abc

    def area(width, height):
        """Return the area of a rectangle.

        Args:
            width: in metres.
        """
        # metres times metres

        return width * height

    def undocumented(x):
        return x

    def empty(x):
        """Do nothing at all here."""

    def abstract(x):
        """Leave this to the subclasses."""
        raise NotImplementedError

    def oneline(x): "Return the value itself."; return x

    def short(x):
        """Too short."""
        return x

    async def fetch(url):
        """Fetch one page
        from the network. It may take long."""
        return await get(url)

    class Box:
        class Inner:
            def depth(self):
                """Tell how deep the box is."""
                return self.d

        @property
        def name(self) -> str:
            """The name of the box."""
            text = """one
    two"""
            return text
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on the path, whose files are given by name."""
    folder = tmp_path / "pladtestpackage"
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    def write(**files):
        for name, text in {"__init__": "raise SystemExit('imported')", **files}.items():
            file = folder / f"{name.replace('__in__', '/')}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(textwrap.dedent(text))
        return Docstrings(packages=("pladtestpackage",))

    return write


def test_the_harvest_of_a_module(package):
    found = [(prompt.prompt, prompt.reference) for prompt in package(module=MODULE).prompts()]
    assert found == [
        (
            "def area(width, height):\n    # metres times metres\n    return width * height",
            "Return the area of a rectangle",
        ),
        ("async def fetch(url):\n    return await get(url)", "Fetch one page from the network"),
        ("class Inner:\n    def depth(self):\n        return self.d", "Tell how deep the box is"),
        (
            'class Box:\n    def name(self) -> str:\n        text = """one\n    two"""\n        return text',
            "The name of the box",
        ),
    ]


def test_nothing_is_imported(package):
    list(package(module=MODULE).prompts())
    assert "pladtestpackage" not in sys.modules


def test_files_come_in_order_and_tests_are_left_out(package):
    body = 'def {0}(x):\n    """Return the {0} of it."""\n    return x.{0}\n'
    files = {name: body.format(name.rpartition("_")[2]) for name in ("b", "a", "test_c", "tests__in__d", "sub__in__e")}
    references = [prompt.reference for prompt in package(**files).prompts()]
    assert references == ["Return the a of it", "Return the b of it", "Return the e of it"]


def test_limits(package):
    long = 'def f(x):\n    """Return it after three steps."""\n' + "    x += 1\n" * 3 + "    return x\n"
    source = package(module=long)
    assert len(list(source.model_copy(update={"max_lines": 5}).prompts())) == 1
    with pytest.raises(PladError, match="at most 4 lines"):
        list(source.model_copy(update={"max_lines": 4}).prompts())
    characters = len("def f(x):\n" + "    x += 1\n" * 3 + "    return x")
    assert len(list(source.model_copy(update={"max_chars": characters}).prompts())) == 1
    with pytest.raises(PladError, match=f"{characters - 1} characters"):
        list(source.model_copy(update={"max_chars": characters - 1}).prompts())


def test_broken_files_are_passed_over_without_a_warning(package, recwarn):
    escape = 'def f(x):\n    """Return the letter d."""\n    return "\\d"\n'
    source = package(good=escape, syntax="def f(:", null="x = '\x00'")
    assert [prompt.reference for prompt in source.prompts()] == ["Return the letter d"]
    assert not recwarn.list


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [
        ("Return the sum.", "Return the sum"),
        ("\n    Return\n    the sum\n\n    More.", "Return the sum"),
        ("Return it. Then more text.", "Return it"),
        ("Take e.g. Python or C. Then more.", "Take e.g. Python or C"),
        ("Build a :class:`~a.Foo` or ``bar``:", "Build a `a.Foo` or `bar`"),
        ("Build a [`Foo`](doc/foo) object", "Build a `Foo` object"),
        ("`int`: The size of it.", "The size of it"),
        ("Is it ready?", "Is it ready?"),
        (">>> f(1)", None),
        (":param x: the value of x", None),
        ("Args:\n    x: the value", None),
        (".. deprecated:: 1.2", None),
        ("Deprecated, use g", None),
        ("See the base class.", None),
        ("f(x, y) -> z", None),
        ("x (`int`): The number of x", None),
        ("Return 合計 を返します", None),
        ("==== ---- ++++", None),
        ("Read https://example.org first", None),
        ("", None),
    ],
)
def test_summaries(docstring, summary):
    assert summarise(docstring) == summary


def test_missing_packages_are_skipped_with_a_note(package, caplog):
    package(module=MODULE)
    with caplog.at_level(logging.WARNING):
        assert list(Docstrings(packages=("no_such_package", "pladtestpackage")).prompts())
    assert "skipping no_such_package" in caplog.text


@pytest.mark.parametrize("packages", [(), ("no_such_package",), ("sys", "not.top.level", "")])
def test_no_package_at_all(packages):
    with pytest.raises(PladError, match="is installed as Python source"):
        list(Docstrings(packages=packages).prompts())


def test_locate(package, tmp_path):
    package()
    (tmp_path / "pladtestmodule.py").write_text("")
    assert locate("pladtestpackage") == tmp_path / "pladtestpackage"
    assert locate("pladtestmodule") == tmp_path / "pladtestmodule.py"
    assert (locate("stdlib") / "textwrap.py").is_file()


@pytest.mark.slow
def test_the_whole_harvest_is_large_clean_and_repeatable():
    prompts = list(Docstrings().prompts())
    assert len(prompts) > 10_000
    assert prompts == list(Docstrings().prompts())
    for prompt in prompts:
        assert len(prompt.prompt) <= 400
        assert prompt.prompt.count("\n") < 12
        assert 3 <= len(prompt.reference.split()) <= 30
