from measurements import kept_tensors, measurement, training_step
from normwise.bench import tables
from normwise.bench.summary import summarise


def test_a_table_for_each_epilogue_without_empty_columns():
    found = list(tables.case_tables([measurement(), measurement(mode="forward"), measurement(epilogue="bn")]))
    assert [table.heading for table in found] == [
        "bn, forward+backward",
        "bn+relu, forward+backward",
        "bn+relu, forward",
    ]
    assert found[0].columns == ("case", "×torch", "range", "÷floor", "saved")
    assert found[1].rows == (("32x64x56x56 contiguous", "2.00", "1.00–4.00", "1.80", "0.50", "1.0/2.0"),)
    assert found[2].columns == ("case", "×torch", "range", "inplace", "÷floor")


def test_no_speed_is_printed_where_ours_is_wrong():
    (table,) = tables.case_tables([measurement(3.21, error=345.0)])
    assert table.rows == (("32x64x56x56 contiguous", "wrong", "err 345"),)
    assert "3.21" not in str(list(tables.summary_tables(summarise([measurement(3.21, error=345.0)]))))


def test_where_torch_is_wrong_there_is_a_mark_and_a_note():
    wrong = measurement(torch_error=950.0)
    (table,) = tables.case_tables([wrong])
    assert table.rows[0][1] == "2.00†"
    said = tables.notes([wrong, measurement()], summarise([wrong, measurement()]))
    assert "† torch's own answer is wrong in 1 of 2 cases; its time stays the peer." in said


def test_notes_name_the_slowest_and_what_is_wrong():
    found = [measurement(0.5), measurement(0.9, shape=(60, 100)), measurement(error=99.0)]
    said = tables.notes(found, summarise(found))
    assert "Slowest above 64K values: 0.50 × torch, 32x64x56x56 contiguous bn+relu forward+backward." in said
    assert "Slowest up to 64K values: 0.90 × torch, 60x100 contiguous bn+relu forward+backward." in said
    assert said[-1].endswith("ours is wrong: error 99 in y (allowed 16).")


def test_summary_steps_and_memory():
    (table,) = tables.summary_tables(summarise([measurement()]))
    assert table.heading == "geometric means, forward+backward"
    assert table.rows == (("bn+relu", "1", "2.00", "1.80", "0.50", "2.00"),)
    assert tables.step_table([training_step()]).rows == (("MLP", "1.20", "0.60–2.40", "1"),)
    assert tables.memory_table([kept_tensors()]).rows == (("chain", "tensors", "3.0", "4.0", "0.75"),)
