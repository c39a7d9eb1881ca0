"""A teacher's distributions on disk: against the teacher itself, what is left over, and a writing that was stopped."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from test_trainer import assert_equal, weights
from tiny import V, letters, logits_alone, make, make_examples
from transformers import TrainingArguments

from plad.errors import PladError
from plad.losses import GKD, JensenShannon, ReverseKL
from plad.training import stored
from plad.training.examples import Examples
from plad.training.head import Stored
from plad.training.likelihood import Teacher, choose_layout, sequences
from plad.training.stored import TeacherLogits, with_logits, write_logits
from plad.training.trainer import PladTrainer

JS = JensenShannon()


def kept(teacher: Any, examples: Examples, folder: Path, top_k: int | None = None) -> Examples:
    write_logits(teacher, 0, examples, folder, TeacherLogits(top_k=top_k), tokens=60)
    return with_logits(examples, folder)


@pytest.mark.parametrize(("student", "teacher"), [("llama", "qwen2"), ("llama", "gpt-neo"), ("t5", "t5")])
def test_all_that_a_teacher_says_is_as_if_it_were_there(student: str, teacher: str, tmp_path: Path) -> None:
    """Float16 keeps 11 bits of a log-probability, here of at most 16 nats: 0.008 in the worst case."""
    ours, theirs = make(student), make(teacher, seed=5)
    examples = Examples(make_examples(9))
    layout = choose_layout(ours, 0, theirs)
    beside = sequences(ours, layout([*examples]), Teacher(theirs, JS.divergence))
    alone = sequences(ours, layout([*kept(theirs, examples, tmp_path)]), Teacher(None, JS.divergence))
    for name in ("token_logps_BRT", "teacher_logps_BRT", "divergence_BRT"):
        torch.testing.assert_close(getattr(alone, name), getattr(beside, name), atol=8e-3, rtol=0)
    assert beside.divergence_BRT.max() > 0.1


def test_the_rest_is_spread_over_all_others() -> None:
    """Two of four tokens kept, with 0.5 and 0.3: the others have 0.1 each."""
    expert = Stored(
        torch.tensor([[0.5, 0.3]]).log(), 4, torch.tensor([[2, 0]], dtype=torch.int32), torch.tensor([math.log(0.1)])
    )
    share_V = expert.logits(*expert.states).softmax(-1)[0]
    torch.testing.assert_close(share_V, torch.tensor([0.3, 0.1, 0.5, 0.1]))


def test_the_likeliest_are_kept_and_their_share_is_told(tmp_path: Path) -> None:
    teacher, examples = make("llama", seed=5), Examples(make_examples(6))
    told = write_logits(teacher, 0, examples, tmp_path, TeacherLogits(top_k=3), tokens=None)
    shares, position = [], 0
    for example, beside in zip(examples, with_logits(examples, tmp_path), strict=True):
        rows = beside.teacher.read()
        truth_SV = torch.cat([logits_alone(teacher, example, list(y)).softmax(-1) for y in example.responses])
        best = truth_SV.topk(3)
        assert rows["ids"].tolist() == best.indices.tolist()
        torch.testing.assert_close(rows["values"].float().exp(), best.values, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close((V - 3) * rows["rest"].exp(), 1 - best.values.sum(-1), atol=1e-4, rtol=1e-3)
        shares += best.values.sum(-1).tolist()
        position += len(truth_SV)
    assert (told["rows"], told["top_k"], told["vocabulary"]) == (position, 3, V)
    assert told["kept"] == pytest.approx(sum(shares) / len(shares), abs=1e-3)
    assert told["least_kept"] == pytest.approx(min(shares), abs=2e-3)
    assert 0.1 < told["kept"] < 0.99


def test_as_many_as_there_are_is_all_of_them(tmp_path: Path) -> None:
    teacher, examples = make("llama", seed=5), Examples(make_examples(4))
    for name, top_k in (("all", None), ("as-many", V), ("more", V + 5)):
        told = write_logits(teacher, 0, examples, tmp_path / name, TeacherLogits(top_k=top_k), tokens=None)
        assert (told["top_k"], told["kept"]) == (None, 1.0)
    one, *others = ((tmp_path / name / "chunk-00000.safetensors").read_bytes() for name in ("all", "as-many", "more"))
    assert others == [one, one]


def test_a_writing_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "CHUNK", 40 * V)
    teacher, examples = make("llama", seed=5), Examples(make_examples(12))

    def stop(done: int) -> None:
        if done > 4:
            raise KeyboardInterrupt

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = write_logits(teacher, 0, examples, whole, TeacherLogits(), tokens=30)
    with pytest.raises(KeyboardInterrupt):
        write_logits(teacher, 0, examples, broken, TeacherLogits(), tokens=30, progress=stop)
    files = sorted(path.name for path in whole.glob("chunk-*"))
    there = {path: path.stat().st_mtime_ns for path in broken.iterdir()}
    assert 0 < len(there) < len(files)
    (broken / ".chunk-00009.safetensors").write_bytes(b"half of it")
    assert write_logits(teacher, 0, examples, broken, TeacherLogits(), tokens=30) == expected
    assert all(path.stat().st_mtime_ns == then for path, then in there.items())
    assert [(broken / name).read_bytes() for name in files] == [(whole / name).read_bytes() for name in files]


def trained(folder: Path, examples: Examples, teacher: Any) -> Any:
    args = TrainingArguments(
        str(folder),
        per_device_train_batch_size=4,
        learning_rate=0.1,
        max_steps=6,
        optim="sgd",
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    run = PladTrainer(make("llama"), args, examples, processing_class=letters(), loss=ReverseKL(), teacher=teacher)
    run.train()
    return weights(run.model)


def test_a_student_learns_the_same_without_its_teacher(tmp_path: Path) -> None:
    teacher, examples = make("llama", seed=5), Examples(make_examples(8, 1))
    beside = trained(tmp_path / "beside", examples, teacher)
    alone = trained(tmp_path / "alone", kept(teacher, examples, tmp_path / "logits"), None)
    assert_equal(alone, beside, atol=1e-3)
    assert max((beside[name] - start).abs().max() for name, start in weights(make("llama")).items()) > 1e-2


def test_what_would_make_no_sense_is_refused(tmp_path: Path) -> None:
    teacher, examples = make("llama", seed=5), Examples(make_examples(4, 1))
    kept(teacher, examples, tmp_path)
    with pytest.raises(PladError, match="along other text"):
        with_logits(Examples(make_examples(5, 1)), tmp_path)
    with pytest.raises(PladError, match="Give teacher=MODEL"):
        trained(tmp_path / "none", examples, None)
    args = TrainingArguments(str(tmp_path / "gkd"), report_to="none", use_cpu=True)
    known = with_logits(examples, tmp_path)
    with pytest.raises(PladError, match="GKD compares with a teacher's distributions"):
        PladTrainer(make("llama"), args, known, processing_class=letters(), loss=GKD())
