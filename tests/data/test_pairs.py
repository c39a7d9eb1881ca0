import pytest
from hypothesis import given
from hypothesis import strategies as st

from plad.data.pairs import REASONS, by_chance, make_pairs, one_each, reorder
from plad.errors import PladError
from plad.records import Generation, PreferencePair, Prompt


def generation(response, finished=True, sample=0, identity="a"):
    return Generation(identity, response, finished=finished, sample=sample)


def test_the_teacher_is_chosen():
    result = make_pairs([Prompt("a", "question")], [generation("good")], [generation("bad")])
    assert result.pairs == [PreferencePair("a", "question", "good", "bad")]
    assert result.dropped == dict.fromkeys(REASONS, 0)


@pytest.mark.parametrize(
    ("teacher", "student", "reason"),
    [
        (None, generation("x"), "missing"),
        (generation("x"), None, "missing"),
        (generation(" \n"), generation("x"), "empty_teacher"),
        (generation("x"), generation(""), "empty_student"),
        (generation("x", finished=False), generation("y"), "truncated_teacher"),
        (generation("x"), generation("y", finished=False), "truncated_student"),
        (generation("x  y"), generation("x\ny "), "identical"),
        # Of several reasons the first in REASONS.
        (generation("", finished=False), generation(""), "empty_teacher"),
        (generation("x", finished=False), generation("x", finished=False), "truncated_teacher"),
    ],
)
def test_one_reason_a_prompt(teacher, student, reason):
    result = make_pairs([Prompt("a", "q")], [teacher] if teacher else [], [student] if student else [])
    assert result.pairs == []
    assert result.dropped == {**dict.fromkeys(REASONS, 0), reason: 1}


def test_first_samples_in_the_order_of_the_prompts():
    prompts = [Prompt("b", "q"), Prompt("a", "q")]
    teacher = [
        generation("t1", sample=1),
        generation("t0"),
        generation("tb", identity="b"),
        generation("-", identity="c"),
    ]
    student = [generation("s0"), generation("s1", sample=1), generation("sb", identity="b")]
    pairs = make_pairs(iter(prompts), iter(teacher), iter(student)).pairs
    assert [(pair.id, pair.chosen, pair.rejected) for pair in pairs] == [("b", "tb", "sb"), ("a", "t0", "s0")]


def scored(count, chosen=0.0, rejected=1.0):
    return [PreferencePair(str(i), "q", "teacher", "student", chosen, rejected) for i in range(count)]


def swapped(pairs):
    return {pair.id for pair in pairs if pair.chosen == "student"}


@given(st.integers(0, 40), st.floats(0, 1), st.floats(0, 1), st.integers())
def test_shares_are_exact_and_nested(count, one, other, seed):
    small, large = (reorder(scored(count), share, seed) for share in sorted((one, other)))
    assert len(swapped(small)) == round(min(one, other) * count)
    assert swapped(small) <= swapped(large)
    assert [pair.id for pair in small] == [str(i) for i in range(count)]


def test_the_better_scored_response_is_chosen():
    better, equal, worse = scored(1, 2.0, 1.0), scored(1, 1.0, 1.0), scored(1, 1.0, 2.0)
    assert reorder(better, 1.0, 0) == better
    assert reorder(equal, 1.0, 0) == equal
    assert reorder(worse, 1.0, 0) == [PreferencePair("0", "q", "student", "teacher", 2.0, 1.0)]


def test_the_seed_decides_which():
    assert swapped(reorder(scored(100), 0.5, 0)) != swapped(reorder(scored(100), 0.5, 1))


def test_scores_are_needed_only_for_a_share():
    unscored = [PreferencePair(str(i), "q", "x", "y") for i in range(3)]
    assert reorder(unscored, 0.0, 0) == unscored
    with pytest.raises(PladError, match="needs scores, but 3 of 3 pairs have none"):
        reorder(unscored, 0.5, 0)
    with pytest.raises(PladError, match="1 of 3 pairs"):
        reorder([*scored(2), *scored(1, float("nan"))], 0.5, 0)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_a_share(share):
    with pytest.raises(PladError, match="from 0 to 1"):
        reorder(scored(2), share, 0)


def test_every_answer_that_makes_a_pair_in_the_order_of_the_samples():
    teacher = [generation("good"), generation("fine", identity="b")]
    student = [
        generation("bad", sample=2),
        generation("good ", sample=0),
        generation("worse", sample=1),
        generation("cut", finished=False, sample=3),
        generation("worse", sample=4),
        generation("fine", identity="b"),
        generation("", identity="b", sample=1),
    ]
    result = make_pairs([Prompt("a", "q"), Prompt("b", "q"), Prompt("c", "q")], teacher, student, every=True)
    assert [(pair.id, pair.rejected) for pair in result.pairs] == [("a", "worse"), ("a", "bad")]
    assert {reason: count for reason, count in result.dropped.items() if count} == {"identical": 1, "missing": 1}


def test_one_negative_of_each_prompt_by_value():
    pairs = [PreferencePair(identity, "q", "good", text) for identity, text in ("ap", "aq", "ar", "bs", "bt")]
    assert [pair.rejected for pair in one_each(pairs, [1, 3, 3, -2, -5])] == ["q", "s"]


@given(st.integers(0, 50))
def test_a_negative_by_chance_depends_on_seed_and_pair_alone(seed):
    pairs = [PreferencePair(str(n), "q", "good", text) for n in range(200) for text in "xyz"]
    chosen = [pair.rejected for pair in one_each(pairs, by_chance(pairs, seed))]
    assert chosen[:5] == [pair.rejected for pair in one_each(pairs[:15], by_chance(pairs[:15], seed))]
    # Each of three is drawn 67 times of 200 on average, with a standard deviation of 6.7: five of those either way.
    assert all(33 < chosen.count(text) < 101 for text in "xyz")
