import torch
from torch import nn

from normwise.bench import networks
from normwise.bench.cases import CHANNELS_LAST, TRAIN
from normwise.bench.gpu import cases
from normwise.bench.gpu.cases import COMPILED, TYPICAL, Layer


def test_the_layers_of_resnet_50_are_those_of_the_network():
    network = networks.ResNet50(networks.torch_norm(2)).to("meta")
    assert sum(p.numel() for p in network.parameters()) == 25_557_032  # as counted elsewhere
    found = []

    def note(module, inputs, output):
        x, *residual = inputs
        add = "+add" if residual else ""
        found.append(Layer(tuple(x.shape), f"bn{add}+relu" if isinstance(module.activation, nn.ReLU) else "bn"))

    for module in network.modules():
        if isinstance(module, networks.TorchNorm):
            module.register_forward_hook(note)
    network(torch.empty(cases.BATCH, 3, 224, 224, device="meta"))
    assert sorted(found) == sorted(cases.resnet50())
    assert len(found) == 53


def test_the_layers_of_mobilenet_v2():
    found = list(cases.mobilenet_v2())
    assert len(found) == 52
    assert sum(layer.shape[1] for layer in found) == 17_056  # of its published weights
    assert sum(layer.epilogue == "bn" for layer in found) == 17  # one linear projection in each block
    assert found[-1] == Layer((cases.BATCH, 1280, 7, 7), "bn+relu6")


def test_the_layers_of_the_u_net():
    found = list(cases.unet())
    assert len(found) == 18
    assert found[0].shape == found[-1].shape == (8, 64, 512, 512)
    assert max(layer.shape[1] for layer in found) == 1024


def test_every_layer_is_measured_in_both_types_and_all_its_layouts():
    table = cases.table()
    assert len(set(table)) == len(table)
    for layer in cases.layers():
        of_layer = {(c.layout, c.dtype) for c in table if (c.shape, c.epilogue, c.mode) == (*layer, TRAIN)}
        assert len(of_layer) == (4 if len(layer.shape) == 4 else 2), layer
    assert set(TYPICAL) <= set(cases.layers())


def test_compiled_cases_come_first_and_then_half_precision_in_channels_last():
    table = cases.table()
    assert table[: len(COMPILED)] == cases.compiled()
    rest = [case for case in table[len(COMPILED) :] if len(case.shape) == 4]
    assert (rest[0].dtype, rest[0].layout, rest[0].mode) == ("bfloat16", CHANNELS_LAST, TRAIN)
    assert rest[-1].mode == "inference"
