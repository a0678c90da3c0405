"""What each call in a traced network does with the channels that reach it."""

from __future__ import annotations

import re
from enum import Enum

from torch import fx, nn
from torch.nn.utils.parametrize import ParametrizationList

from normwise.nn.kinds import is_linear_map, is_nonlinearity
from normwise.ops import activations
from normwise.surgery.sites import is_normalization


class Role(Enum):
    """What a call does with the channels of what it is given."""

    KEEPS = "keeps the channels and their axis"
    REARRANGES = "keeps each value, in channels that may be others"
    PERMUTES = "moves the axes"
    NONLINEAR = "is an elementwise nonlinearity"
    NORMALIZES = "normalizes"
    LINEAR = "maps linearly"
    ATTENDS = "belongs to attention"
    RECURS = "is recurrent"
    OUTPUT = "is the network's output"
    NOTHING = "takes no values, only a shape or type"
    UNKNOWN = "does something else"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Functions and methods by their names, without the underscore of those that work in place.
_FUNCTIONS: dict[Role, frozenset[str]] = {
    Role.NONLINEAR: frozenset(activations.NAMES) - {"identity"}
    | _words(
        "celu clamp clamp_max clamp_min clip hardshrink hardsigmoid hardtanh logsigmoid prelu rrelu selu softplus "
        "softshrink softsign tanhshrink threshold"
    ),
    Role.NORMALIZES: _words("batch_norm group_norm instance_norm layer_norm rms_norm"),
    Role.LINEAR: _words(
        "bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution linear"
    ),
    Role.ATTENDS: _words(
        "baddbmm bmm einsum log_softmax matmul mm multi_head_attention_forward scaled_dot_product_attention softmax"
    ),
    Role.KEEPS: _words(
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
        "adaptive_max_pool3d add alpha_dropout avg_pool1d avg_pool2d avg_pool3d bfloat16 clone contiguous cpu cuda "
        "detach div double dropout dropout1d dropout2d dropout3d feature_alpha_dropout float half iadd imul "
        "interpolate isub itruediv local_response_norm lp_pool1d lp_pool2d lp_pool3d masked_fill max_pool1d max_pool2d "
        "max_pool3d mul neg pad rdiv rsub sub to true_divide truediv type type_as upsample"
    ),
    Role.REARRANGES: _words(
        "amax amin cat channel_shuffle chunk concat concatenate expand expand_as flatten flip getitem hstack "
        "index_select mean narrow pixel_shuffle pixel_unshuffle repeat repeat_interleave reshape reshape_as roll "
        "select setitem split squeeze stack sum tensor_split tile unbind unflatten unsqueeze view view_as vstack"
    ),
    Role.PERMUTES: _words("movedim moveaxis permute swapaxes swapdims t transpose"),
    Role.NOTHING: _words(
        "dim empty_like full_like new_empty new_ones new_zeros numel ones_like rand_like randn_like size zeros_like"
    ),
}
_BY_NAME = {name: role for role, names in _FUNCTIONS.items() for name in names}

_MODULES: dict[str, Role] = {
    "torch.nn.modules.pooling": Role.KEEPS,
    "torch.nn.modules.dropout": Role.KEEPS,
    "torch.nn.modules.padding": Role.KEEPS,
    "torch.nn.modules.upsampling": Role.KEEPS,
    "torch.nn.modules.flatten": Role.REARRANGES,
    "torch.nn.modules.pixelshuffle": Role.REARRANGES,
    "torch.nn.modules.channelshuffle": Role.REARRANGES,
}
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_ATTENTION = (
    nn.MultiheadAttention,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerDecoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoderLayer,
)
_ENDS = (nn.Softmax, nn.Softmax2d, nn.LogSoftmax)
_CALLED_NORM = re.compile(r"Norm(alization)?([123]d)?$")


def module_role(module: nn.Module) -> Role:
    """What a module does.

    A user's own normalization is known by a class name that ends in ``Norm``, ``Norm2d`` or the like.
    """
    if isinstance(module, _RECURRENT):
        return Role.RECURS
    if isinstance(module, (*_ATTENTION, *_ENDS)):
        return Role.ATTENDS
    if is_linear_map(module):
        return Role.LINEAR
    if is_nonlinearity(module):
        return Role.NONLINEAR
    if isinstance(module, (nn.Identity, nn.LocalResponseNorm)):
        return Role.KEEPS
    if is_normalization(module) or _is_own_normalization(module):
        return Role.NORMALIZES
    return _MODULES.get(type(module).__module__, Role.UNKNOWN)


def is_block(module: nn.Module) -> bool:
    """Whether a module is one of torch's recurrent or attention modules, or a subclass of one."""
    return isinstance(module, (*_RECURRENT, *_ATTENTION))


def is_recurrent(module: nn.Module) -> bool:
    """Whether a module is one of torch's recurrent modules, or a subclass of one."""
    return isinstance(module, _RECURRENT)


def is_whole(module: nn.Module) -> bool:
    """Whether surgery takes a module as a whole, whatever its forward calls."""
    return is_block(module) or _is_own_normalization(module)


def normalization_inside(module: nn.Module) -> str:
    """The name of a normalization that a linear map has inside, as in a convolution that normalizes its own output.

    What is in a parametrization normalizes the weight, which is something else.
    """
    weights = {part for each in module.modules() if isinstance(each, ParametrizationList) for part in each.modules()}
    for name, part in module.named_modules():
        if part is not module and part not in weights and module_role(part) is Role.NORMALIZES:
            return str(name)
    return ""


def function_role(node: fx.Node) -> Role:
    """What a call of a function or method does, or the output."""
    if node.op == "output":
        return Role.OUTPUT
    name = function_name(node)
    if name == "getattr":
        return Role.PERMUTES if node.args[1] in ("T", "mT") else Role.NOTHING
    return _BY_NAME.get(name, Role.UNKNOWN)


def function_name(node: fx.Node) -> str:
    """The name of a function or method, without the underscores of one that works in place or of an operator."""
    return str(getattr(node.target, "__name__", node.target)).strip("_")


def _is_own_normalization(module: nn.Module) -> bool:
    named = _CALLED_NORM.search(type(module).__name__) is not None
    return named and not any(is_linear_map(each) or is_nonlinearity(each) for each in module.modules())
