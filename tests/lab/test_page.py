from lab.made import mixed, record, results
from normwise.lab import page
from normwise.lab.table import table


def test_the_page_says_whose_target_it_is_and_how_many_runs_there_were():
    shown = page.page(mixed(), [])
    assert "at or above 80.0 %, the best mean validation accuracy of plain; median" in shown.tables[0].caption
    assert {"validation accuracy, %", "best step"} <= set(shown.tables[0].columns)
    assert "Best step: that step; median over the seeds." in shown.tables[0].caption
    assert (shown.title, shown.subtitle) == ("plain against bn on parts", "2 seeds of 30 steps each, mlp")


def test_the_caption_speaks_of_the_columns_that_there_are():
    """Where the baseline did not learn there is no target, and no word of one."""
    found = results([record([0.1, 0.1, 0.1]), record([0.5, 0.9, 0.9], arm="bn")])
    columns, _ = table(found)
    assert "steps to target" not in columns
    assert "target" not in page.page(found, []).tables[0].caption


def test_settings_of_many_arms_are_a_table_of_what_differs():
    arms = ["plain", "bn", "he", "ln"]
    found = results([record([0.5, 0.9], arm=arm, lr=lr) for arm, lr in zip(arms, (0.1, 0.5, 0.1, 0.1), strict=True)])
    shown = page.page(found, [])
    assert shown.settings.columns == ["arm", "norm", "place", "layers", "lr"]
    assert shown.settings.rows[1] == ["bn", "batch", "before", "all", "0.5"]
    assert "bn" not in dict(shown.facts[0].facts)
    assert page.page(mixed(), []).settings is None


def test_one_seed_has_no_words_about_several():
    found = results([record([0.5, 0.9]), record([0.5, 0.9], arm="bn")])
    said = page.page(found, []).tables[0].caption
    assert "seeds" not in said
    assert "mean" not in said
