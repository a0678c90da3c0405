from normwise.figures import curves
from synthetic import study


def test_a_notebook_shows_a_figure_without_pyplot():
    figure = curves.draw(curves.info(study()))
    assert figure._repr_png_().startswith(b"\x89PNG")
