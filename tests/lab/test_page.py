from lab.studies import findings, record
from normwise.lab import page


def made():
    """Test accuracy is 1 − v where validation accuracy is v; training accuracy is 0.1, 0.2 and 0.3."""
    return findings([
        record([0.5, 0.7, 0.8]),
        record([0.5, 0.9, 0.7], seed=1),
        record([0.5, 0.6, 0.7], arm="bn", lr=0.5),
        record([0.5, 0.85, 0.9], arm="bn", lr=0.5, seed=1),
        record([0.5, 0.55], arm="bn", lr=0.5, seed=2, status="diverged"),
        record([], arm="bn", lr=0.5, seed=3, status="failed"),
    ])  # fmt: skip


def test_the_table_has_a_number_for_every_column():
    assert page.table(made()) == (
        ["arm", "lr", "test, %", "steps to target", "never", "gap", "gradient", "seconds", "diverged", "failed"],
        [
            ["plain", "0.2", "15.0 ± 7.1", "15", "0 of 2", "+10.0", "0.25", "4.5", "0 of 2", "0 of 2"],
            ["bn", "0.5", "28.3 ± 17.6", "–", "2 of 3", "-1.7", "0.25", "4.0", "1 of 4 (step 10)", "1 of 4 (step 0)"],
        ],
    )


def test_one_rate_for_all_has_no_column():
    columns, _ = page.table(findings([record([0.5, 0.8]), record([0.5, 0.9], arm="bn")]))
    assert columns == ["arm", "test, %", "steps to target", "never", "gap", "gradient", "seconds"]


def test_the_page_says_whose_target_it_is_and_how_many_runs_there_were():
    shown = page.page(made(), [])
    assert "at or above 80.0 %, the best mean validation accuracy of plain; median" in shown.tables[0].caption
    assert (shown.title, shown.subtitle) == ("plain against bn on parts", "2 seeds of 30 steps each, mlp")
