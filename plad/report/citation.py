"""The paper to cite."""

from __future__ import annotations

PAPER = "https://arxiv.org/abs/2406.02886"

CITATION = """\
@inproceedings{zhang2024plad,
  title     = {{PLaD}: Preference-based Large Language Model Distillation with Pseudo-Preference Pairs},
  author    = {Zhang, Rongzhi and Shen, Jiaming and Liu, Tianqi and Wang, Haorui and Qin, Zhen and Han, Feng and
               Liu, Jialu and Baumgartner, Simon and Bendersky, Michael and Zhang, Chao},
  booktitle = {Findings of the Association for Computational Linguistics: ACL 2024},
  year      = {2024},
  eprint    = {2406.02886},
  archiveprefix = {arXiv}
}
"""
