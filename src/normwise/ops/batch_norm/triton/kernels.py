"""The kernels. Each works on tiles of (BN examples or rows, BC channels, BS positions), held in registers.

The same code reads planes (stride 1 along the positions) and rows (stride 1 along the channels, BS = 1): a tile's axes
are always in this order, and the compiler lays threads along the one of stride 1. Indices and names:

    g group   n example, or row of channels   c channel   s position   k = g·channels + c a channel's statistics
    v_NCS     a tile, x_N its strides x_g, x_n, x_c        v_C values per channel

A channel's tiles are numbered along n, and for one n along s; a part is a run of ``per`` of them. What lies outside of
the tensor, or is masked, counts as 0 in every sum. Statistics, coefficients and sums are float32.

    ROWS   which axis has stride 1        UNIT   what divides all strides, and the size of that axis
    WIDE   offsets need 64 bits           POLICY how the cache treats what is read or written
"""

from __future__ import annotations

import triton
import triton.language as tl

from normwise.ops.batch_norm.triton.activations import activate, slope

NUMBERS = (
    "groups channels outer inner tiles per parts size eps parameter x_g x_n x_c r_g r_n r_c d_g d_n d_c y_g y_n y_c"
)
VECTORS = "weight bias mean var low count grad_weight grad_bias mask partial stats"


def _kernel(function):
    """Compiled once for all sizes: what a size's divisibility is good for, UNIT says."""
    return triton.jit(function, do_not_specialize=NUMBERS.split(), do_not_specialize_on_alignment=VECTORS.split())


@triton.jit
def _share(pid, groups, channels, BC: tl.constexpr):
    """What a program works on: its group, its channels and its part. Neighbours take neighbouring channels."""
    blocks = tl.cdiv(channels, BC)
    return pid // blocks % groups, (pid % blocks) * BC + tl.arange(0, BC), pid // (blocks * groups)


@triton.jit
def _known(size, UNIT: tl.constexpr):
    """The size, a multiple of UNIT, in a form that tells the compiler so."""
    return size // UNIT * UNIT


@triton.jit
def _tile(
    t, g, c, mask, outer, channels, inner,
    ROWS: tl.constexpr, UNIT: tl.constexpr, WIDE: tl.constexpr, BN: tl.constexpr, BS: tl.constexpr,
):  # fmt: skip
    """Tile t: its n and s, what of it is inside, what counts, and how many positions do, for every channel the same."""
    chunks = tl.cdiv(inner, BS)
    row, chunk = t // chunks, t % chunks
    if WIDE:
        row, chunk, g = row.to(tl.int64), chunk.to(tl.int64), g.to(tl.int64)
    first_n, first_s = row * BN, chunk * BS
    n, s = (first_n + tl.arange(0, BN))[:, None, None], (first_s + tl.arange(0, BS))[None, None, :]
    if ROWS:
        positions, channel = n < outer, c[None, :, None] < _known(channels, UNIT)
    else:
        positions, channel = (n < outer) & (s < _known(inner, UNIT)), c[None, :, None] < channels
    inside = positions & channel
    if mask is None:
        count = (tl.minimum(outer - first_n, BN) * tl.minimum(inner - first_s, BS)).to(tl.float32)
    else:
        positions = positions & (tl.load(mask + (g * outer + n) * inner + s, mask=positions, other=0) != 0)
        count = tl.sum(positions.to(tl.float32))
    return n, s, inside, positions & channel, count


@triton.jit
def _places(g, n, c, s, by_g, by_n, by_c, ROWS: tl.constexpr, UNIT: tl.constexpr, WIDE: tl.constexpr):
    """Where a tile's elements lie, counted from the tensor's first."""
    if WIDE:
        g, c = g.to(tl.int64), c.to(tl.int64)  # n and s are wide already
        by_g, by_n, by_c = by_g.to(tl.int64), by_n.to(tl.int64), by_c.to(tl.int64)
    column = c[None, :, None]
    if not ROWS:
        column = column * _known(by_c, UNIT) + s
    return g * _known(by_g, UNIT) + n * _known(by_n, UNIT) + column


@triton.jit
def _load(p, places, inside, POLICY: tl.constexpr):
    return tl.load(p + places, mask=inside, other=0.0, eviction_policy=POLICY).to(tl.float32)


@triton.jit
def _store(p, places, inside, v_NCS, POLICY: tl.constexpr):
    tl.store(p + places, v_NCS.to(p.dtype.element_ty), mask=inside, eviction_policy=POLICY)


@triton.jit
def _per_channel(v, like_C):
    """The same value for each channel, in a vector of its own."""
    return tl.zeros_like(like_C) + v


@triton.jit
def _total(v_NCS):
    """The sum over all positions of each channel."""
    return tl.full((1,), tl.sum(v_NCS), tl.float32) if v_NCS.shape[1] == 1 else tl.sum(tl.sum(v_NCS, 2), 0)


@triton.jit
def _pivot(v_NCS, count):
    """About the mean of a tile."""
    return _total(v_NCS) / tl.maximum(count, 1.0)


@triton.jit
def _sum(a, b):
    """Both, rounded, and what rounding took from it, which Knuth's two-sum finds exactly."""
    high = a + b
    back = high - a
    return high, (a - (high - back)) + (b - back)


@triton.jit
def _moments(pivot_C, total_C, squares_C, count):
    """Mean, what rounding took from it, and squared deviations, from the sums of x − pivot and of its squares.

    The pivot is near the mean, so that little cancels in the squares.
    """
    off = tl.div_rn(total_C, _per_channel(tl.maximum(count, 1.0), total_C))
    mean, low = _sum(pivot_C, off)
    squares = squares_C - total_C * off
    return mean, low, tl.where(squares < 0, 0.0, squares)  # NaN stays


@triton.jit
def _keep_statistics(stats, k, size, inside, mean_C, squares_C, low_C, count_C):
    """Write the statistics, stacked; the variance."""
    var = tl.div_rn(squares_C, tl.maximum(count_C, 1.0))
    tl.store(stats + k, mean_C, mask=inside)
    tl.store(stats + size + k, var, mask=inside)
    tl.store(stats + 2 * size + k, low_C, mask=inside)
    tl.store(stats + 3 * size + k, count_C, mask=inside)
    return var


@triton.jit
def _inverse(var_C, eps):
    return tl.div_rn(_per_channel(1.0, var_C), tl.sqrt_rn(var_C + eps))


@triton.jit
def _values(p, k, inside):
    """Values per channel, 0 where there are none."""
    v = tl.zeros(k.shape, tl.float32)
    if p is not None:
        v = tl.load(p + k, mask=inside, other=0.0)
    return v


@triton.jit
def _coefficients(inverse_C, low_C, weight, bias, c, inside):
    """Scale and shift of z = (x − mean)·scale + shift."""
    scale = inverse_C
    if weight is not None:
        scale = inverse_C * tl.load(weight + c, mask=inside, other=0.0)
    return scale, tl.fma(-low_C, scale, _values(bias, c, inside))


@triton.jit
def _pull_back(count, k, inside, scale_C, inverse_C, low_C, grad_weight_C, grad_bias_C):
    """What makes the gradient of x: g·by_gradient + (x − mean)·by_input + constant.

    Given moments, of which there is no count, pass nothing on. A single value has no gradient.
    """
    by_gradient, by_input, constant = scale_C, tl.zeros_like(scale_C), tl.zeros_like(scale_C)
    if count is not None:
        m = tl.load(count + k, mask=inside, other=0.0)
        more, m = m > 1, tl.maximum(m, 1.0)
        by_gradient = tl.where(more, scale_C, 0.0)
        by_input = -by_gradient * inverse_C * tl.div_rn(grad_weight_C, m)
        constant = -by_gradient * tl.div_rn(grad_bias_C, m) - by_input * low_C
    return by_gradient, by_input, constant


@triton.jit
def _z(d_NCS, scale_C, shift_C, residual, places, inside, POLICY: tl.constexpr):
    """The pre-activation; one fused product, so that every kernel finds the same bits."""
    z = tl.fma(d_NCS, scale_C[None, :, None], shift_C[None, :, None])
    if residual is not None:
        z += _load(residual, places, inside, POLICY)
    return z


@triton.jit
def _output(v_NCS, mean_C, scale_C, shift_C, residual, places, inside, parameter, ACTIVATION: tl.constexpr):
    z = _z(v_NCS - mean_C[None, :, None], scale_C, shift_C, residual, places, inside, "evict_first")
    return activate(z, parameter, ACTIVATION)


@_kernel
def resident_forward(
    x, residual, mask, weight, bias, y, stats,
    groups, channels, outer, inner, eps, parameter, x_g, x_n, x_c, r_g, r_n, r_c, y_g, y_n, y_c,
    ACTIVATION: tl.constexpr, ROWS: tl.constexpr, UNIT: tl.constexpr, WIDE: tl.constexpr,
    BN: tl.constexpr, BC: tl.constexpr, BS: tl.constexpr,
):  # fmt: skip
    """Moments and output of whole channels, which are read once: one tile holds all of their positions."""
    g, c, _ = _share(tl.program_id(0), groups, channels, BC)
    n, s, inside, keep, count = _tile(0, g, c, mask, outer, channels, inner, ROWS, UNIT, WIDE, BN, BS)
    v = _load(x, _places(g, n, c, s, x_g, x_n, x_c, ROWS, UNIT, WIDE), inside, "evict_first")
    if mask is not None:
        v = tl.where(keep, v, 0.0)
    pivot = _pivot(v, count)
    d = tl.where(keep, v - pivot[None, :, None], 0.0)
    mean, low, squares = _moments(pivot, _total(d), _total(d * d), count)
    k, real = g * channels + c, c < channels
    var = _keep_statistics(stats, k, groups * channels, real, mean, squares, low, _per_channel(count, mean))
    scale, shift = _coefficients(_inverse(var, eps), low, weight, bias, c, real)
    r_places = _places(g, n, c, s, r_g, r_n, r_c, ROWS, UNIT, WIDE)
    value = _output(v, mean, scale, shift, residual, r_places, inside, parameter, ACTIVATION)
    if mask is not None:
        value = tl.where(keep, value, 0.0)
    _store(y, _places(g, n, c, s, y_g, y_n, y_c, ROWS, UNIT, WIDE), inside, value, "")


@triton.jit
def _first_counted(first, last, g, c, mask, outer, channels, inner, ROWS: tl.constexpr, UNIT: tl.constexpr,
                   WIDE: tl.constexpr, BN: tl.constexpr, BS: tl.constexpr):  # fmt: skip
    """The first tile of a part in which something counts."""
    found = first
    if mask is not None:
        _, _, _, _, count = _tile(found, g, c, mask, outer, channels, inner, ROWS, UNIT, WIDE, BN, BS)
        while (count == 0) & (found < last):
            found += 1
            _, _, _, _, count = _tile(found, g, c, mask, outer, channels, inner, ROWS, UNIT, WIDE, BN, BS)
    return found


@_kernel
def reduce_moments(
    x, mask, partial,
    groups, channels, outer, inner, tiles, per, parts, x_g, x_n, x_c,
    ROWS: tl.constexpr, UNIT: tl.constexpr, WIDE: tl.constexpr,
    BN: tl.constexpr, BC: tl.constexpr, BS: tl.constexpr,
):  # fmt: skip
    """Count, mean, what rounding took from it, and squared deviations of each part: (4, parts, groups·channels).

    Every lane sums x − pivot and its square. The pivot is the mean of the part's first tile in which something counts.
    """
    g, c, part = _share(tl.program_id(0), groups, channels, BC)
    last = tl.minimum((part + 1) * per, tiles) - 1
    first = _first_counted(part * per, last, g, c, mask, outer, channels, inner, ROWS, UNIT, WIDE, BN, BS)
    n, s, inside, keep, count = _tile(first, g, c, mask, outer, channels, inner, ROWS, UNIT, WIDE, BN, BS)
    v = _load(x, _places(g, n, c, s, x_g, x_n, x_c, ROWS, UNIT, WIDE), inside, "evict_last")
    pivot = _pivot(tl.where(keep, v, 0.0), count)
    d = tl.where(keep, v - pivot[None, :, None], 0.0)
    total, squares = d, d * d
    for t in range(first + 1, last + 1):
        n, s, inside, keep, more = _tile(t, g, c, mask, outer, channels, inner, ROWS, UNIT, WIDE, BN, BS)
        v = _load(x, _places(g, n, c, s, x_g, x_n, x_c, ROWS, UNIT, WIDE), inside, "evict_last")
        d = tl.where(keep, v - pivot[None, :, None], 0.0)
        total += d
        squares = tl.fma(d, d, squares)
        count += more
    mean, low, about = _moments(pivot, _total(total), _total(squares), count)
    size = groups * channels
    at, step, real = partial + part.to(tl.int64) * size + g * channels + c, parts.to(tl.int64) * size, c < channels
    tl.store(at, _per_channel(count, mean), mask=real)
    tl.store(at + step, mean, mask=real)
    tl.store(at + 2 * step, low, mask=real)
    tl.store(at + 3 * step, about, mask=real)


@triton.jit
def _column(p, which, size, parts, BP: tl.constexpr, BK: tl.constexpr):
    """What every part found about some channels, (BP, BK)."""
    k, part = tl.program_id(0) * BK + tl.arange(0, BK), tl.arange(0, BP).to(tl.int64)
    inside = (part < parts)[:, None] & (k < size)[None, :]
    return tl.load(p + (which * parts + part)[:, None] * size + k[None, :], mask=inside, other=0.0)


@_kernel
def finish_moments(partial, stats, size, parts, BP: tl.constexpr, BK: tl.constexpr):
    """The statistics of all parts together (Chan, Golub & LeVeque 1983), in a fixed order."""
    count, mean = _column(partial, 0, size, parts, BP, BK), _column(partial, 1, size, parts, BP, BK)
    low, squares = _column(partial, 2, size, parts, BP, BK), _column(partial, 3, size, parts, BP, BK)
    m = tl.sum(count, 0)
    divisor = tl.maximum(m, 1.0)
    pivot = tl.sum(count / divisor[None, :] * mean, 0)
    d = tl.where(count > 0, mean - pivot[None, :] + low, 0.0)
    off = tl.div_rn(tl.sum(count * d, 0), divisor)
    d = tl.where(count > 0, d - off[None, :], 0.0)
    mean, low = _sum(pivot, off)
    about = tl.sum(squares, 0) + tl.sum(count * d * d, 0)
    k = tl.program_id(0) * BK + tl.arange(0, BK)
    _keep_statistics(stats, k, size, k < size, mean, about, low, m)


@_kernel
def normalize(
    x, residual, mask, weight, bias, mean, var, low, y,
    groups, channels, outer, inner, tiles, per, eps, parameter, x_g, x_n, x_c, r_g, r_n, r_c, y_g, y_n, y_c,
    ACTIVATION: tl.constexpr, ROWS: tl.constexpr, UNIT: tl.constexpr, WIDE: tl.constexpr,
    BN: tl.constexpr, BC: tl.constexpr, BS: tl.constexpr,
):  # fmt: skip
    """The output, last tiles first: what the moments were computed from last is still in the cache."""
    g, c, part = _share(tl.num_programs(0) - 1 - tl.program_id(0), groups, channels, BC)
    k, real = g * channels + c, c < channels
    mean_C, low_C = _values(mean, k, real), _values(low, k, real)
    scale, shift = _coefficients(_inverse(_values(var, k, real), eps), low_C, weight, bias, c, real)
    end = tl.minimum((part + 1) * per, tiles)
    for i in range(part * per, end):
        t = part * per + end - 1 - i
        n, s, inside, keep, _ = _tile(t, g, c, mask, outer, channels, inner, ROWS, UNIT, WIDE, BN, BS)
        v = _load(x, _places(g, n, c, s, x_g, x_n, x_c, ROWS, UNIT, WIDE), inside, "evict_first")
        if mask is not None:
            v = tl.where(keep, v, 0.0)
        r_places = _places(g, n, c, s, r_g, r_n, r_c, ROWS, UNIT, WIDE)
        value = _output(v, mean_C, scale, shift, residual, r_places, inside, parameter, ACTIVATION)
        if mask is not None:
            value = tl.where(keep, value, 0.0)
        _store(y, _places(g, n, c, s, y_g, y_n, y_c, ROWS, UNIT, WIDE), inside, value, "evict_first")


@triton.jit
def _gradient(
    x, grad_y, residual, mask, g, n, c, s, inside, keep, mean_C, scale_C, shift_C, parameter,
    x_g, x_n, x_c, d_g, d_n, d_c, r_g, r_n, r_c,
    ACTIVATION: tl.constexpr, ROWS: tl.constexpr, UNIT: tl.constexpr, WIDE: tl.constexpr, POLICY: tl.constexpr,
):  # fmt: skip
    """Deviation x − mean and the gradient of z."""
    v = _load(x, _places(g, n, c, s, x_g, x_n, x_c, ROWS, UNIT, WIDE), inside, POLICY)
    gradient = _load(grad_y, _places(g, n, c, s, d_g, d_n, d_c, ROWS, UNIT, WIDE), inside, POLICY)
    d = v - mean_C[None, :, None]
    z = _z(d, scale_C, shift_C, residual, _places(g, n, c, s, r_g, r_n, r_c, ROWS, UNIT, WIDE), inside, POLICY)
    gradient *= slope(z, parameter, ACTIVATION)
    if mask is not None:
        d, gradient = tl.where(keep, d, 0.0), tl.where(keep, gradient, 0.0)
    return d, gradient


@triton.jit
def _store_gradient(
    grad_x, grad_residual, x_places, keep, inside, mask, d_NCS, g_NCS, by_gradient_C, by_input_C, constant_C,
    POLICY: tl.constexpr,
):  # fmt: skip
    rest = tl.fma(d_NCS, by_input_C[None, :, None], constant_C[None, :, None])
    value = tl.fma(g_NCS, by_gradient_C[None, :, None], rest)
    if mask is not None:
        value = tl.where(keep, value, 0.0)
    _store(grad_x, x_places, inside, value, POLICY)
    if grad_residual is not None:
        _store(grad_residual, x_places, inside, g_NCS, POLICY)


@_kernel
def resident_backward(
    x, grad_y, residual, mask, weight, bias, mean, var, low, count, grad_x, grad_residual, grad_weight, grad_bias,
    groups, channels, outer, inner, eps, parameter,
    x_g, x_n, x_c, d_g, d_n, d_c, r_g, r_n, r_c, y_g, y_n, y_c,
    ACTIVATION: tl.constexpr, ROWS: tl.constexpr, UNIT: tl.constexpr, WIDE: tl.constexpr,
    BN: tl.constexpr, BC: tl.constexpr, BS: tl.constexpr,
):  # fmt: skip
    """All gradients of whole channels, which are read once: one tile holds all of their positions."""
    g, c, _ = _share(tl.program_id(0), groups, channels, BC)
    k, real = g * channels + c, c < channels
    mean_C, low_C = _values(mean, k, real), _values(low, k, real)
    inverse = _inverse(_values(var, k, real), eps)
    scale, shift = _coefficients(inverse, low_C, weight, bias, c, real)
    n, s, inside, keep, _ = _tile(0, g, c, mask, outer, channels, inner, ROWS, UNIT, WIDE, BN, BS)
    d, gradient = _gradient(
        x, grad_y, residual, mask, g, n, c, s, inside, keep, mean_C, scale, shift, parameter,
        x_g, x_n, x_c, d_g, d_n, d_c, r_g, r_n, r_c, ACTIVATION, ROWS, UNIT, WIDE, "evict_first",
    )  # fmt: skip
    sum_g = _total(gradient)
    sum_gx = (_total(gradient * d) - low_C * sum_g) * inverse
    tl.store(grad_weight + k, sum_gx, mask=real)
    tl.store(grad_bias + k, sum_g, mask=real)
    by_gradient, by_input, constant = _pull_back(count, k, real, scale, inverse, low_C, sum_gx, sum_g)
    places = _places(g, n, c, s, y_g, y_n, y_c, ROWS, UNIT, WIDE)
    _store_gradient(
        grad_x, grad_residual, places, keep, inside, mask, d, gradient, by_gradient, by_input, constant, ""
    )  # fmt: skip


@_kernel
def reduce_gradients(
    x, grad_y, residual, mask, weight, bias, mean, var, low, partial,
    groups, channels, outer, inner, tiles, per, parts, eps, parameter,
    x_g, x_n, x_c, d_g, d_n, d_c, r_g, r_n, r_c,
    ACTIVATION: tl.constexpr, ROWS: tl.constexpr, UNIT: tl.constexpr, WIDE: tl.constexpr,
    BN: tl.constexpr, BC: tl.constexpr, BS: tl.constexpr,
):  # fmt: skip
    """Σ g and Σ g·(x − mean) of each part, (2, parts, groups·channels)."""
    g, c, part = _share(tl.program_id(0), groups, channels, BC)
    k, real = g * channels + c, c < channels
    mean_C, low_C = _values(mean, k, real), _values(low, k, real)
    scale, shift = _coefficients(_inverse(_values(var, k, real), eps), low_C, weight, bias, c, real)
    sum_g, sum_gx = tl.zeros((BN, BC, BS), tl.float32), tl.zeros((BN, BC, BS), tl.float32)
    for t in range(part * per, tl.minimum((part + 1) * per, tiles)):
        n, s, inside, keep, _ = _tile(t, g, c, mask, outer, channels, inner, ROWS, UNIT, WIDE, BN, BS)
        d, gradient = _gradient(
            x, grad_y, residual, mask, g, n, c, s, inside, keep, mean_C, scale, shift, parameter,
            x_g, x_n, x_c, d_g, d_n, d_c, r_g, r_n, r_c, ACTIVATION, ROWS, UNIT, WIDE, "evict_last",
        )  # fmt: skip
        sum_g += gradient
        sum_gx = tl.fma(gradient, d, sum_gx)
    size = groups * channels
    at = partial + part.to(tl.int64) * size + k
    tl.store(at, _total(sum_g), mask=real)
    tl.store(at + parts.to(tl.int64) * size, _total(sum_gx), mask=real)


@_kernel
def finish_gradients(
    partial, var, low, grad_weight, grad_bias, size, parts, eps, BP: tl.constexpr, BK: tl.constexpr
):  # fmt: skip
    """The gradients of weight and bias, in a fixed order."""
    k = tl.program_id(0) * BK + tl.arange(0, BK)
    real = k < size
    sum_g = tl.sum(_column(partial, 0, size, parts, BP, BK), 0)
    sum_gx = tl.sum(_column(partial, 1, size, parts, BP, BK), 0)
    inverse = _inverse(_values(var, k, real), eps)
    tl.store(grad_weight + k, (sum_gx - _values(low, k, real) * sum_g) * inverse, mask=real)
    tl.store(grad_bias + k, sum_g, mask=real)


@_kernel
def backward_elementwise(
    x, grad_y, residual, mask, weight, bias, mean, var, low, count, grad_x, grad_residual, grad_weight, grad_bias,
    groups, channels, outer, inner, tiles, per, eps, parameter,
    x_g, x_n, x_c, d_g, d_n, d_c, r_g, r_n, r_c, y_g, y_n, y_c,
    ACTIVATION: tl.constexpr, ROWS: tl.constexpr, UNIT: tl.constexpr, WIDE: tl.constexpr,
    BN: tl.constexpr, BC: tl.constexpr, BS: tl.constexpr,
):  # fmt: skip
    """The gradients of x and residual, last tiles first, as in ``normalize``."""
    g, c, part = _share(tl.num_programs(0) - 1 - tl.program_id(0), groups, channels, BC)
    k, real = g * channels + c, c < channels
    mean_C, low_C = _values(mean, k, real), _values(low, k, real)
    inverse = _inverse(_values(var, k, real), eps)
    scale, shift = _coefficients(inverse, low_C, weight, bias, c, real)
    sum_gx, sum_g = _values(grad_weight, k, real), _values(grad_bias, k, real)
    by_gradient, by_input, constant = _pull_back(count, k, real, scale, inverse, low_C, sum_gx, sum_g)
    end = tl.minimum((part + 1) * per, tiles)
    for i in range(part * per, end):
        t = part * per + end - 1 - i
        n, s, inside, keep, _ = _tile(t, g, c, mask, outer, channels, inner, ROWS, UNIT, WIDE, BN, BS)
        d, gradient = _gradient(
            x, grad_y, residual, mask, g, n, c, s, inside, keep, mean_C, scale, shift, parameter,
            x_g, x_n, x_c, d_g, d_n, d_c, r_g, r_n, r_c, ACTIVATION, ROWS, UNIT, WIDE, "evict_first",
        )  # fmt: skip
        places = _places(g, n, c, s, y_g, y_n, y_c, ROWS, UNIT, WIDE)
        _store_gradient(
            grad_x, grad_residual, places, keep, inside, mask, d, gradient, by_gradient, by_input, constant,
            "evict_first",
        )  # fmt: skip
