"""An LSTM with batch normalization, whose statistics belong to one time step each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from normwise.errors import InvalidArgumentError, ShapeError
from normwise.nn.recurrent import RecurrentBatchNorm


class BatchNormLSTM(nn.LSTM):
    """An LSTM with batch normalization of what enters its gates and of its cell: called as ``torch.nn.LSTM``.

        (i, f, g, o) = BN(W_hh·h_{t−1}; γ_h, 0) + BN(W_ih·x_t; γ_x, 0) + b_ih + b_hh
        c_t = σ(f)·c_{t−1} + σ(i)·tanh(g)
        h_t = σ(o)·tanh(BN(c_t; γ_c, β_c))

    ``output, (h, c) = lstm(x, (h_0, c_0))`` takes x of shape (L, N, input_size), or (N, L, input_size) with
    ``batch_first``, and h_0 and c_0 of (num_layers·directions, N, hidden_size), zeros by default. It returns what
    ``torch.nn.LSTM`` does: the last layer's h_t at every step, (L, N, directions·hidden_size), and h and c of each
    layer and direction at the last. c is not normalized on its way through time. Without the axis N, x is one sequence,
    which evaluation takes.

    Weights and biases have the names, shapes, order of gates (i, f, g, o) and initial values of ``torch.nn.LSTM``:
    ``lstm.load_state_dict(other.state_dict(), strict=False)`` takes those of one. Each layer and direction has three
    ``RecurrentBatchNorm`` besides, ``norm_ih_l0``, ``norm_hh_l0`` and ``norm_c_l0``, which see training and evaluation
    and update their statistics as is written there. The step of a statistic counts from where the direction begins:
    in reverse, step 0 is the last of the sequence.

    Args:
        input_size: the features of x.
        hidden_size: H, the features of h and c.
        num_layers: layers, each of which takes the outputs of the one below.
        bias: whether there are b_ih and b_hh; β_c is there in any case.
        batch_first: whether N is the first axis of x and of the output.
        dropout: the share of each layer's outputs, but the last layer's, that is dropped in training.
        bidirectional: whether a second direction runs from the last step to the first.
        proj_size: 0; projections are refused.
        device: where parameters and buffers live.
        dtype: the type of parameters and statistics.
        max_length: how many steps have statistics of their own; later steps share the last one's. Give the length of
            the longest sequence in training.
        gamma: what γ_x, γ_h and γ_c start at; β_c starts at 0.
        eps: ε of the normalizations.
        momentum: the weight of the newest batch in their running statistics, or None for the plain average.

    Raises:
        InvalidArgumentError: when made with a ``proj_size``, or with what ``RecurrentBatchNorm`` refuses.
        TypeError: when called on a PackedSequence, whose padding would enter the moments; batch sequences of one
            length, or pad them (``torch.nn.utils.rnn.pad_packed_sequence``).
        ShapeError: when called on x, h_0 or c_0 of another shape, or in training on a single example.

    Source: Cooijmans et al. 2016, "Recurrent Batch Normalization", arXiv:1603.09025, equations 6 to 8; the statistics
    per step are those of its section 3.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        max_length: int = 100,
        gamma: float = 0.1,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
    ) -> None:
        if proj_size:
            raise InvalidArgumentError(
                f"BatchNormLSTM has no projections, got proj_size={proj_size}; leave it out and put a Linear after it"
            )
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.max_length, self.gamma = max_length, gamma
        for suffix in self._suffixes():
            for name, features in (("ih", 4 * hidden_size), ("hh", 4 * hidden_size), ("c", hidden_size)):
                norm = RecurrentBatchNorm(
                    features, max_length, eps, momentum, gamma=gamma, bias=name == "c",
                    activation="tanh" if name == "c" else None, device=device, dtype=dtype,
                )  # fmt: skip
                self.add_module(f"norm_{name}_{suffix}", norm)

    def reset_parameters(self) -> None:
        """Draw the weights anew as ``torch.nn.LSTM`` does, and reset the normalizations."""
        super().reset_parameters()
        for norm in self.children():
            assert isinstance(norm, RecurrentBatchNorm)
            norm.reset_parameters()

    def forward(  # type: ignore[override]
        self,
        input: Tensor,  # noqa: A002 - as torch calls it
        hx: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The outputs of every step, and h and c after the last; see the class."""
        x, h, c = self._arguments(input, hx)
        last_h, last_c = [], []
        suffixes = self._suffixes()
        directions = len(suffixes) // self.num_layers
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for place in range(directions * layer, directions * (layer + 1)):
                suffix = suffixes[place]
                backwards = suffix.endswith("reverse")
                steps, h_n, c_n = self._layer(x.flip(0) if backwards else x, h[place], c[place], suffix)
                outputs.append(steps.flip(0) if backwards else steps)
                last_h.append(h_n)
                last_c.append(c_n)
            x = torch.cat(outputs, -1)
        state = torch.stack(last_h), torch.stack(last_c)
        if input.ndim == 2:
            return x.squeeze(1), (state[0].squeeze(1), state[1].squeeze(1))
        return x.transpose(0, 1) if self.batch_first else x, state

    def _layer(self, x: Tensor, h: Tensor, c: Tensor, suffix: str) -> tuple[Tensor, Tensor, Tensor]:
        """One layer in one direction: h of every step, and the last h and c."""
        norm_x, norm_h, norm_c = (getattr(self, f"norm_{name}_{suffix}") for name in ("ih", "hh", "c"))
        weight = getattr(self, f"weight_hh_{suffix}")
        entering = norm_x(F.linear(x, getattr(self, f"weight_ih_{suffix}")))
        if self.bias:
            entering = entering + (getattr(self, f"bias_ih_{suffix}") + getattr(self, f"bias_hh_{suffix}"))
        outputs, seen_h, seen_c = [], [], []
        for step, residual in enumerate(entering.unbind(0)):
            gates, stats_h = norm_h.normalized(F.linear(h, weight), step, residual)
            i, f, g, o = gates.chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            squashed, stats_c = norm_c.normalized(c, step)
            h = o.sigmoid() * squashed
            outputs.append(h)
            seen_h.append(stats_h)
            seen_c.append(stats_c)
        if self.training:  # at once for all steps
            norm_h.update(torch.cat(seen_h, 1))
            norm_c.update(torch.cat(seen_c, 1))
        return torch.stack(outputs), h, c

    def _suffixes(self) -> list[str]:
        """The ends of the names of layers and directions, in the order of the states."""
        ends = ("", "_reverse") if self.bidirectional else ("",)
        return [f"l{layer}{end}" for layer in range(self.num_layers) for end in ends]

    def _arguments(self, x: Tensor, hx: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Give x as (L, N, input_size), and h_0 and c_0 with an axis N, all checked."""
        if isinstance(x, PackedSequence):
            raise TypeError(
                "BatchNormLSTM takes no PackedSequence: padding would enter the moments of a step; batch sequences of "
                "one length, or pad them (torch.nn.utils.rnn.pad_packed_sequence) where that is what you want"
            )
        single = x.ndim == 2
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            shape = "N, L" if self.batch_first else "L, N"
            raise ShapeError(
                f"expected x of shape ({shape}, {self.input_size}), or (L, {self.input_size}) for one sequence, got "
                f"{tuple(x.shape)}; give it those axes or make the layer with input_size={x.shape[-1]}"
            )
        if single and self.training:
            raise ShapeError(
                f"expected a batch of two sequences or more when training, got a single one of shape {tuple(x.shape)}: "
                "a single value has no variance; give a batch, or call eval() first"
            )
        x = x.unsqueeze(1) if single else x.transpose(0, 1) if self.batch_first else x
        if not len(x):
            raise ShapeError(f"expected at least one step, got x of shape {tuple(x.shape)} as (L, N, input_size)")
        states, features = len(self._suffixes()), self.hidden_size
        if hx is None:
            zeros = x.new_zeros(states, x.shape[1], features)
            return x, zeros, zeros
        for name, state in zip(("h_0", "c_0"), hx, strict=True):
            expected = (states, features) if single else (states, x.shape[1], features)
            if state.shape != expected:
                raise ShapeError(f"expected {name} of shape {expected}, got {tuple(state.shape)}; give it that shape")
        h, c = (state.unsqueeze(1) if single else state for state in hx)
        return x, h, c

    def extra_repr(self) -> str:
        """The options, those of torch's layer first."""
        return f"{super().extra_repr()}, max_length={self.max_length}, gamma={self.gamma}"
