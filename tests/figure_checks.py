"""What tests of figures share: a figure is rendered, and looked at for what a reader would miss."""

from matplotlib.figure import Figure

from aptstream.report.style import figure_bytes


def drawn(figure: Figure) -> Figure:
    """Render, so that warnings of the layout come to light; all axes hold something, and what they measure is named."""
    assert isinstance(figure, Figure)
    assert len(figure_bytes(figure, "png")) > 3000
    assert figure.get_size_inches()[0] <= 183 / 25.4 + 1e-9
    for axes in figure.axes:
        assert axes.has_data() or axes.texts or axes.collections or not axes.axison, axes
        if axes.axison and axes.xaxis.get_tick_params().get("labelbottom", True) and axes.get_label() != "<colorbar>":
            assert axes.get_xlabel() or axes.get_shared_x_axes().get_siblings(axes) != [axes], axes.get_title(
                loc="left"
            )
    return figure


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def same_twice(draw) -> None:
    """The same figure gives the same bytes in every form."""
    for form in ("png", "pdf", "svg"):
        assert figure_bytes(draw(), form) == figure_bytes(draw(), form), form
