"""What a recorder saw of a training, as plain values: measurements, and nothing that judges them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Call(NamedTuple):
    """One call of a module, or of an activation as a function, in the first recorded forward.

    Attributes:
        layer: the module's dotted name; of a function ``<enclosing module>.relu``. A second call has ``#2`` behind it.
        kind: ``linear``, ``conv``, ``batch_norm``, ``normalization`` (any other), ``activation``, ``softmax``,
            ``dropout``, ``pool``, ``embedding``, ``recurrent``, ``attention`` or ``other``.
        what: the module's class or the function's name, for example ``Conv2d`` or ``relu``.
        feeds: places, in the list of calls, of the calls that produced its inputs, through reshapes only.
        shape: of its first input tensor.
        output: of its first output tensor.
        facts: what the call's kind has: ``bias`` (bool) of a linear map; ``momentum``, ``training``, ``tracks``,
            ``affine``, ``eps``, ``batches`` (num_batches_tracked after this call), ``zero_gamma`` (the share of γ = 0)
            of a batch normalization; ``p`` of a dropout;
            ``frozen`` (no parameter of it requires a gradient).
    """

    layer: str
    kind: str
    what: str
    feeds: tuple[int, ...]
    shape: tuple[int, ...]
    output: tuple[int, ...]
    facts: dict[str, Any]


class Inputs(NamedTuple):
    """The inputs of the first batches.

    A feature is an index of axis 1 (of a vector per example, its only axis), over all examples and positions.

    Attributes:
        examples: in a batch.
        features: how many there are; 0 where the inputs are integers or no tensor.
        low, high: the smallest and the largest value.
        mean, std: over all values.
        worst: the number of the feature that is farthest from mean 0 and deviation 1, by its root mean square.
        spread: the largest feature's deviation over the smallest that is not 0.
        largest: the largest |mean|/deviation of any feature that varies.
        constant: the share of features that do not vary.
    """

    examples: int
    features: int = 0
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None
    worst: int | None = None
    spread: float | None = None
    largest: float | None = None
    constant: float | None = None


class Targets(NamedTuple):
    """The targets that were seen, by what the loss is.

    Attributes:
        classes: how many different ones, for class numbers; None otherwise.
        low, high, mean, std: over all values.
        same: the largest share of one class within a batch, averaged over batches, for class numbers.
    """

    classes: int | None = None
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None
    same: float | None = None


class Loss(NamedTuple):
    """How the loss is computed from the output of the last linear map, read off autograd's graph.

    Attributes:
        kind: ``cross_entropy``, ``nll``, ``bce``, ``bce_with_logits``, ``mse``, ``mae``, ``huber`` or ``other``.
        last: what stands between the last linear map and the loss, in the order of the forward, as names of functions:
            ``relu``, ``sigmoid``, ``softmax``, ``log_softmax``, ``tanh``, … The log-softmax that belongs to
            ``cross_entropy`` is not among them.
        outputs: the shape of the output that the loss is given; None where that is no single tensor.
        scale: what the loss is multiplied by; None where there is no telling, as where other terms are added to it.
        compared: the shape in which outputs and targets are compared, where it is not that of the outputs: each output
            is compared with several targets.
    """

    kind: str = "other"
    last: tuple[str, ...] = ()
    outputs: tuple[int, ...] | None = None
    scale: float | None = 1.0
    compared: tuple[int, ...] | None = None


class Weights(NamedTuple):
    """A linear map at one step: norms over all elements of its weight W.

    Attributes:
        layer: its dotted name.
        weight: ‖W‖ before the update.
        gradient: ‖∂loss/∂W‖ before the update, after what the loop did to it (clipping, unscaling); None without one.
        update: ‖ΔW‖ of the update; None where none was seen.
        size: elements of W.
        zero: the share of outputs (rows of W) whose gradient is exactly 0; None without a gradient.
        alike: whether at the first step all rows of W, two at least, were the same, and so were those of its gradient.
        learned: whether W requires a gradient.
    """

    layer: str
    weight: float
    gradient: float | None
    update: float | None
    size: int
    zero: float | None
    alike: bool = False
    learned: bool = True

    @property
    def gradient_per_element(self) -> float | None:
        """The root mean square of the gradient's elements, by which layers of any size compare; None without one."""
        return None if self.gradient is None else self.gradient / math.sqrt(max(1, self.size))

    @property
    def gradient_over_weight(self) -> float | None:
        """‖∂loss/∂W‖/‖W‖; None without a gradient, or where W is 0."""
        return None if self.gradient is None or self.weight == 0 else self.gradient / self.weight

    @property
    def update_over_weight(self) -> float | None:
        """‖ΔW‖/‖W‖; None where no update was seen, or W is 0."""
        return None if self.update is None or self.weight == 0 else self.update / self.weight


class Units(NamedTuple):
    """A nonlinearity at one call. A unit is one feature, or one feature map, over examples and positions.

    Examples are on axis 0, units on axis 1; on the last one behind a linear, recurrent, embedding or attention layer.

    Attributes:
        layer: as in ``Call``.
        what: the activation's name.
        mean, std: of its input, over everything.
        saturated: the share of units of a bounded activation for which |f'| < 0.05·sup|f'| on more than 95 % of
            examples and positions; None where f is not bounded on both sides.
        dead: the share of units with f' = 0 for all examples and positions of this batch and of the two recorded
            before it; None before there are three, or where f' is 0 nowhere.
        zero: the mean share of outputs that are 0 or have f' = 0 (sparsity; one half is usual for a ReLU).
        units: how many there are.
        spread: the root mean square over units of the deviation between examples, over that of the output itself: 0
            where the output does not depend on the example; NaN where there is only one.
    """

    layer: str
    what: str
    mean: float
    std: float
    saturated: float | None
    dead: float | None
    zero: float | None
    units: int
    spread: float


class Norm(NamedTuple):
    """A batch normalization at one call.

    Attributes:
        layer: as in ``Call``.
        training: whether it normalizes with the batch's moments.
        values: how many values a channel has in this batch: examples times positions.
        gap: the largest over channels of |μ_batch − running_mean|/√(running_var + eps); None without statistics.
        ratio: the largest over channels of |log₂((σ²_batch + eps)/(running_var + eps))|; None without statistics.
        finite: whether the running statistics are.
    """

    layer: str
    training: bool
    values: int
    gap: float | None
    ratio: float | None
    finite: bool


class Outputs(NamedTuple):
    """What the network put out, the first floating-point tensor of it.

    Attributes:
        mean, std: over everything.
        spread: as in ``Units``: 0 where the output does not depend on the input.
    """

    mean: float
    std: float
    spread: float


class Observation(NamedTuple):
    """One recorded step, counted from 1: the first step is 1.

    Attributes:
        step: of the training.
        loss: of its batch.
        lr: the largest learning rate of the optimizer's groups; None without an optimizer.
        weights: of every linear map, in the order of the forward.
        units: of every nonlinearity, in the order of the forward.
        norms: of every batch normalization, in the order of the forward.
        outputs: of the network.
    """

    step: int
    loss: float
    lr: float | None
    weights: tuple[Weights, ...]
    units: tuple[Units, ...]
    norms: tuple[Norm, ...]
    outputs: Outputs | None


class NotFinite(NamedTuple):
    """Where a value that is not finite was first seen.

    Attributes:
        step: of the training.
        what: ``input``, ``activation``, ``loss``, ``gradient`` or ``weight``.
        layer: the first layer, in the order of the forward (of the backward for gradients); empty for input and loss.
    """

    step: int
    what: str
    layer: str


class Optimizer(NamedTuple):
    """What updates the parameters.

    Attributes:
        name: its class.
        lr: the largest of its groups at the first step.
        momentum: of SGD, or β₁ of Adam and its kin; None for none.
        weight_decay: the largest of its groups.
        decayed: normalizations whose γ or β is decayed.
        missing: parameters that require a gradient and that it does not hold.
    """

    name: str
    lr: float
    momentum: float | None
    weight_decay: float
    decayed: tuple[str, ...]
    missing: tuple[str, ...]


class Watched(NamedTuple):
    """What a recorder saw of one training.

    Attributes:
        steps: how many were made.
        every: each so many steps were recorded (besides the first few).
        calls: those of the first forward, in order.
        inputs: of the first batches.
        targets: None where none were given.
        loss: how it is computed.
        optimizer: None where none was given.
        losses: of every step.
        constant: the loss of the best constant prediction for the targets seen; None where there is no telling.
        observations: the recorded steps.
        not_finite: None where everything was finite.
        kept_gradients: whether gradients of earlier steps were still there when those of a step were added.
        parameters: how many numbers are learned.
        frozen: how many numbers in parameters are not.
        evaluating: modules that were in evaluation mode while the network trained, by dotted name.
        checked: whether an update was seen that moved a weight: the network is trained at all.
    """

    steps: int
    every: int
    calls: tuple[Call, ...]
    inputs: Inputs
    targets: Targets | None
    loss: Loss
    optimizer: Optimizer | None
    losses: tuple[float, ...]
    constant: float | None
    observations: tuple[Observation, ...]
    not_finite: NotFinite | None
    kept_gradients: bool
    parameters: int
    frozen: int
    evaluating: tuple[str, ...]
    checked: bool
