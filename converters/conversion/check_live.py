"""A live module's last word: what it computes on an image is what the filled model computes."""

import keras

from converters.conversion.build_network import BuildRequest, build_network
from converters.errors import ConversionError
from converters.identification.fits import Fit
from converters.identification.sources import Source
from converters.programs.torch_modules import check_forward, check_modules, module_differences, weighted_modules
from converters.proof.live_module import compare_live
from converters.weights.fill_model import fill_model, variable_shapes
from converters.weights.plan import plan_import
from converters.weights.receipts import Receipt


def check_live(
    source: Source, model: keras.Model, fit: Fit, receipt: Receipt, *, named: bool, whole: bool, asked: bool
) -> list[str]:
    """Refuses a live module whose result is another one than the model's. The module is left as it was.

    Args:
        source: source of the weights, a live module.
        model: model that is filled with them.
        fit: network whose names the weights have.
        receipt: what was filled.
        named: whether the user named the network, which counts where the module cannot be run.
        whole: whether the model has the module's result. Else the layers that were filled are compared.
        asked: whether the user chose how the model strides. Then a module of the usual form is compared with that one.
    Returns: sentences for the receipt.
    Raises:
        ConversionError: naming the first module that differs; or a module that cannot be run and is not public.
    """
    if receipt.transplant:
        return check_forward(source, fit, named=named)
    untouched = {path.rpartition("/")[0] for path in receipt.untouched}
    names = {
        name: layer for name, layer in weighted_modules(source, fit.network.table).items() if layer not in untouched
    }
    notes = []
    if asked and module_differences(source, model, fit, unused=False):
        model = _usual(source, fit)
        notes = ["The module has its usual form, and not the output stride or convention that was asked for"]
    comparison = compare_live(source.module, model, fit.family, fit.network, names, whole=whole)
    if comparison.failure:
        check_modules(source, model, fit, asked=True, whole=whole)
        return check_forward(source, fit, named=named, why=comparison.failure)
    if comparison.difference:
        raise ConversionError(
            f"{source.name} has the tensors of {fit.family.name} {fit.network.name} and computes something else. It "
            f"was run on random images: {comparison.difference}. Expected the results of {model.name}. If it was made "
            "with another output stride or convention, say so: output_stride=, convention= (--output_stride, "
            "--convention). If another network is meant, name it: network= (--network). include_top=False takes the "
            "features before the module's own end."
        )
    return [*notes, *comparison.notes]


def _usual(source: Source, fit: Fit) -> keras.Model:
    """The source's network in its usual form, filled with the tensors that there are."""
    model, options, drop = build_network(fit.network.name, fit, source, BuildRequest())
    plan = plan_import(fit.network.table, source.shapes, variable_shapes(model), drop=drop)
    receipt = Receipt(source.name, model.name, *fit.names, options=options)
    fill_model(model, source, plan, receipt, allow_nonfinite=True)
    return model
