"""Score heads: a reward model and a critic, each a transformer's body with one number per text."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

from minialign.core.models import merged
from minialign.core.models.architecture import body_of, disable_dropout, inputs_for
from minialign.core.models.sharing import rows_to_read

HEAD_FILE = "score_head.safetensors"


@torch.no_grad()
def _output_width(body: PreTrainedModel) -> int:
    """Width of what a body puts out, which its config does not always tell; by trying."""
    ids = torch.zeros(1, 1, dtype=torch.long, device=body.device)
    was_training = body.training
    width = body.eval()(input_ids=ids, use_cache=False).last_hidden_state.shape[-1]
    body.train(was_training)
    return width


def _unfreeze(body: PreTrainedModel) -> None:
    """Let all parameters be trained, or of a body with adapters only theirs."""
    for name, parameter in body.named_parameters():
        parameter.requires_grad_(not isinstance(body, PeftModel) or "lora_" in name)


class RewardModel(torch.nn.Module):
    """A transformer's body with a linear head: one score for a whole text.

    The score is read at the last real token, which has seen everything before it. The head starts
    with standard deviation 1 / sqrt(d + 1) for width d, so that first scores are about 1 in size:
    Stiennon et al. 2020, arXiv:2009.01325; Huang et al. 2024, arXiv:2403.17031.
    """

    def __init__(self, body: PreTrainedModel, seed: int = 0) -> None:
        super().__init__()
        self.body = body
        width = _output_width(body)
        self.head = torch.nn.Linear(width, 1, bias=False)  # float32 whatever the body is
        generator = torch.Generator().manual_seed(seed)
        torch.nn.init.normal_(self.head.weight, std=(width + 1) ** -0.5, generator=generator)
        self.register_buffer("zero", torch.zeros(()))  # subtracted: comparisons leave it free
        self.to(body.device)

    @classmethod
    def from_policy(cls, policy: PreTrainedModel, seed: int = 0) -> RewardModel:
        """A reward model that starts from a copy of a policy's body, its adapters merged."""
        body = body_of(merged(copy.deepcopy(policy)))
        return cls(body.requires_grad_(True), seed)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.head.weight.device

    def token_scores(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) the score of the text up to and including each token; padding is meaningless."""
        out = self.body(**inputs_for(self.body, input_ids, attention_mask))
        return self.head(out.last_hidden_state.float())[..., 0].float() - self.zero

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, completion_mask: Tensor | None = None
    ) -> Tensor:
        """(B,) the score of each text, whichever side is padded.

        With a completion mask, a prompt that texts share is read once (`models.sharing`).
        """
        own = None if completion_mask is None else completion_mask.bool()
        inputs, places = rows_to_read(self.body, input_ids, attention_mask, own)
        last = attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(1)
        last = places.gather(1, last[:, None])[:, 0]
        read = self.body(**inputs).last_hidden_state.flatten(0, 1)[last]
        return self.head(read.float())[:, 0].float() - self.zero

    def save_pretrained(self, folder: Path) -> None:
        """Write body and head; LoRA adapters are merged into the body, so that nothing is lost."""
        body = self.body
        if isinstance(body, PeftModel):
            body = merged(copy.deepcopy(body))
        body.save_pretrained(folder)
        head = {"head": self.head.weight.detach().contiguous(), "zero": self.zero}
        save_file(head, Path(folder) / HEAD_FILE)

    @classmethod
    def from_pretrained(
        cls, folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> RewardModel:
        """A reward model that `save_pretrained` wrote.

        Raises:
            FileNotFoundError: if the folder holds no score head.
        """
        from minialign.core.models.loading import attention_for, load_whole  # not needed to train

        if not (Path(folder) / HEAD_FILE).exists():
            raise FileNotFoundError(
                f"{Path(folder).name} holds no {HEAD_FILE}, so it is no reward model; "
                "make one with RewardModel.from_policy and train it"
            )
        attention = attention_for(torch.device(device))
        body = load_whole(AutoModel, folder, dtype, attention)
        model = cls(disable_dropout(body).to(device))
        saved = load_file(Path(folder) / HEAD_FILE)
        model.head.weight.data.copy_(saved["head"])
        model.zero.copy_(saved["zero"])
        return model


class ValueModel(RewardModel):
    """A critic: the expected score of the finished reply, given what is written so far.

    The same body and head as a reward model, from which it starts (Ouyang et al. 2022, section
    3.5), read before every token instead of after the last.
    """

    @classmethod
    def from_reward_model(cls, reward_model: RewardModel) -> ValueModel:
        """A critic that starts as a copy of a reward model, zero included.

        It trains what the reward model trained: with adapters, those alone. If the reward model is
        frozen, the whole body is trained, or its adapters.
        """
        body = copy.deepcopy(reward_model.body)
        if not any(p.requires_grad for p in body.parameters()):
            _unfreeze(body)
        model = cls(body)
        model.head.weight.data.copy_(reward_model.head.weight)
        model.zero.copy_(reward_model.zero)
        return model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) value of the prefix before each token; column 0, with no prefix, is 0."""
        after = self.token_scores(input_ids, attention_mask)
        return torch.nn.functional.pad(after[:, :-1], (1, 0))
