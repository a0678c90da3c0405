import pytest

from normwise.lab.reproduction import wording


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("within 7e-08 of 1e-05", "within 7·10⁻⁸ of 10⁻⁵"),
        ("from 1.33e+04 to -2e-16", "from 1.33·10⁴ to −2·10⁻¹⁶"),
        ("1.2e+00 and 3.0e-01", "1.2 and 0.3"),
        ("13.50% of 5 %", "13.50 % of 5 %"),
        ("{-1.2247, 0, 1.2247}", "{−1.2247, 0, 1.2247}"),
        ("fashion-mnist, 1-2, BN-x5, 10e-7, λ = 1e-4", "fashion-mnist, 1-2, BN-x5, 10e-7, λ = 1e-4"),
    ],
)
def test_numbers_are_written_as_people_read_them(text, read):
    assert wording.read(text) == read
