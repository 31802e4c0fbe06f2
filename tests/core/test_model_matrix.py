"""Any causal language model: every cell of the matrix is "yes", or the sentence that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from model_abilities import ABILITIES
from model_matrix import MODELS, cells
from slowness import slow_but

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.filterwarnings("ignore")  # transformers warns of kernels that are not installed
@pytest.mark.parametrize("name", slow_but(MODELS, "Llama", "GPT-2", "Mamba"))
def test_a_model_does_what_the_matrix_says(name: str):
    found, refused = cells(name), MODELS[name].refused
    assert set(found) == ({"load"} if "load" in refused else set(ABILITIES))
    for ability, cell in found.items():
        if ability in refused:
            assert re.search(refused[ability], cell), f"{ability}: {cell}"
        else:
            assert cell == "yes", f"{ability}: {cell}"
        assert "\n" not in cell


def test_the_readme_names_what_is_refused():
    """Each refusal of the matrix is in the sentence of the README, and the number of models."""
    (promise,) = re.findall(r"- \*\*Another model\*\*.*?(?=\n- )", README.read_text(), re.DOTALL)
    words = {"load": ["BERT", "T5", "end of a turn"], "longer text": ["positions"],
             "pack": ["recurrent", "ALiBi", "window"]}  # fmt: skip
    refused = {ability for entry in MODELS.values() for ability in entry.refused}
    assert refused == set(words)
    assert all(word in promise for group in words.values() for word in group)
    assert f"{len(MODELS)} tiny models" in promise
