"""Prices and rates between places, and egress by the month."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError, MalformedLine, MissingFile
from offprints.testing import data_folder, recorded

from sky_broker.egress import LISTED, EgressSchedule, monthly_bill
from sky_broker.network import NetworkGrid, cloud_of, region_of

GRID = NetworkGrid.embedded()
CANADA, TOKYO = "azure:canadacentral", "gcp:asia-northeast1-a"


def test_the_embedded_grid_knows_every_pair() -> None:
    usd, gbps = GRID.submatrices(GRID.locations)
    assert usd.shape == gbps.shape == (16, 16)
    assert (gbps > 0).all() and np.isfinite(usd).all()
    assert (usd[~np.eye(16, dtype=bool)] > 0).all()  # in 2022 no two of these regions moved data free


def test_the_way_there_costs_what_skyplane_lists_and_the_way_back_something_else() -> None:
    assert GRID.price(CANADA, TOKYO) == 0.0875
    assert GRID.rate(CANADA, TOKYO) == pytest.approx(6.6253, abs=1e-4)
    assert GRID.price(TOKYO, CANADA) != GRID.price(CANADA, TOKYO)


def test_inside_a_region_data_move_free_and_at_once() -> None:
    assert GRID.price("gcp:us-central1-a", "gcp:us-central1-f") == 0
    assert GRID.rate("aws:us-west-2", "aws:us-west-2b") == math.inf
    assert GRID.hours(1e6, CANADA, CANADA) == 0


def test_a_zone_stands_for_its_region() -> None:
    assert GRID.index("gcp:us-central1") == GRID.index("gcp:us-central1-c") == GRID.index("gcp:us-central1-a")
    assert region_of("aws:us-west-2b") == "aws:us-west-2"
    assert region_of("azure:westus2") == "azure:westus2"


def test_a_location_is_a_cloud_and_a_region() -> None:
    assert cloud_of("aws:us-east-1") == "aws"
    for wrong in ("aws", "aws:", ":us-east-1", ":", ""):
        with pytest.raises(InputError, match="is no location"):
            cloud_of(wrong)


def test_hours_are_of_gigabytes_and_gigabits() -> None:
    assert GRID.hours(450, CANADA, TOKYO) == pytest.approx(8 * 450 / 3600 / GRID.rate(CANADA, TOKYO))


def test_what_the_grid_does_not_know_is_an_error_that_offers_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean azure:westus2"):
        GRID.price("azure:westus", CANADA)
    hole = NetworkGrid(("aws:a-1", "gcp:b-1"), [[0, np.nan], [0.1, 0]], [[0, 0], [2.0, 0]])  # type: ignore[arg-type]
    assert hole.price("gcp:b-1", "aws:a-1") == 0.1
    with pytest.raises(InputError, match="price from aws:a-1 to gcp:b-1"):
        hole.price("aws:a-1", "gcp:b-1")
    with pytest.raises(InputError, match="rate from aws:a-1 to gcp:b-1"):
        hole.rate("aws:a-1", "gcp:b-1")


def test_a_grid_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        NetworkGrid(("aws:a-1", "gcp:b-1"), np.zeros((2, 3)), np.ones((2, 2)))
    with pytest.raises(InputError, match="negative"):
        NetworkGrid(("aws:a-1", "gcp:b-1"), np.full((2, 2), -1.0), np.ones((2, 2)))
    with pytest.raises(InputError, match="more often"):
        NetworkGrid(("aws:us-west-2a", "aws:us-west-2b"), np.ones((2, 2)), np.ones((2, 2)))


def test_peers_let_data_go_and_others_do_not() -> None:
    peered = GRID.with_peering({"azure", "gcp"})
    assert peered.price(CANADA, TOKYO) == peered.price(TOKYO, CANADA) == 0
    assert peered.price("aws:us-east-1", TOKYO) == GRID.price("aws:us-east-1", TOKYO) > 0
    assert peered.price("azure:westus2", CANADA) == 0
    assert GRID.with_peering({"azure", "gcp"}, within=False).price("azure:westus2", CANADA) > 0
    assert np.array_equal(peered.gbps, GRID.gbps)
    with pytest.raises(InputError, match="no cloud 'azur'"):
        GRID.with_peering({"azur"})


def test_a_new_cloud_is_reached_at_the_price_of_the_internet() -> None:
    grid = GRID.joined("lambda:us-west-1", 0.0, 5.0)
    assert grid.price("aws:us-east-1", "lambda:us-west-1") == 0.09
    assert grid.price("lambda:us-west-1", "aws:us-east-1") == 0
    assert grid.rate("aws:us-east-1", "lambda:us-west-1") == 5
    assert grid.price(CANADA, TOKYO) == GRID.price(CANADA, TOKYO)
    with pytest.raises(InputError, match="already"):
        GRID.joined(CANADA, 0.0, 1.0)
    with pytest.raises(InputError, match="other regions"):
        GRID.joined("aws:mars-north-1", 0.0, 1.0)
    for wrong in (0.0, math.inf, math.nan):
        with pytest.raises(InputError, match="above 0"):
            GRID.joined("lambda:us-west-1", 0.0, wrong)


def test_the_price_to_a_new_cloud_is_the_most_that_is_known_to_another_cloud() -> None:
    places = ("aws:a-1", "aws:b-2", "gcp:c", "azure:d")
    usd = np.array(
        [[0, 0.5, 0.1, np.nan], [0.5, 0, np.nan, np.nan], [0.2, 0.12, 0, 0.15], [0.01, 0.02, 0.03, 0]]
    )
    grid = NetworkGrid(places, usd, np.ones((4, 4))).joined("lambda:e", 0.0, 1.0)
    assert [grid.price(place, "lambda:e") for place in (places[0], *places[2:])] == [0.1, 0.2, 0.03]
    with pytest.raises(InputError, match="the price from aws:b-2 to lambda:e is not in the network grid"):
        grid.price("aws:b-2", "lambda:e")


def test_a_rate_of_nothing_is_no_rate() -> None:
    grid = NetworkGrid(("aws:a-1", "aws:b-2"), np.ones((2, 2)), np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert grid.rate("aws:b-2", "aws:a-1") == 1
    for ask in (grid.rate, lambda *places: grid.submatrices(places, need="rate")):
        with pytest.raises(InputError, match="the rate from aws:a-1 to aws:b-2"):
            ask("aws:a-1", "aws:b-2")


def test_only_what_is_asked_for_has_to_be_known() -> None:
    unknown = np.array([[0.0, np.nan], [1.0, 0.0]])
    known = np.ones((2, 2))
    places = ("aws:a-1", "aws:b-2")
    half = NetworkGrid(places, known, unknown)
    assert half.submatrices(places, need="price")[0].tolist() == [[0, 1], [1, 0]]
    assert half.hours(0, *places) == 0
    for need in ("rate", "both"):
        with pytest.raises(InputError, match="the rate from aws:a-1 to aws:b-2"):
            half.submatrices(places, need=need)
    other = NetworkGrid(places, unknown, known)
    assert other.submatrices(places, need="rate")[1][0, 1] == 1
    for need in ("price", "both"):
        with pytest.raises(InputError, match="the price from aws:a-1 to aws:b-2"):
            other.submatrices(places, need=need)


def test_skyplanes_files_give_the_recorded_grid() -> None:
    grid = NetworkGrid.from_skyplane(data_folder("skyplane-profiles"))
    known = recorded("sky-broker", "skyplane_grid.npz")
    order = [grid.index(str(name)) for name in known["regions"]]
    off = ~np.eye(len(order), dtype=bool)
    assert grid.locations == tuple(sorted(str(name) for name in known["regions"]))
    assert np.allclose(grid.usd_per_gb[np.ix_(order, order)], known["usd_per_gb"])
    found = np.nan_to_num(grid.gbps[np.ix_(order, order)])[off]
    assert np.allclose(found, known["gbps"][off], atol=5.1e-5, rtol=0)


def test_the_excerpt_is_what_skyplanes_files_say() -> None:
    grid = NetworkGrid.from_skyplane(data_folder("skyplane-profiles"))
    usd, gbps = grid.submatrices(GRID.locations)
    assert np.array_equal(usd, GRID.usd_per_gb)
    assert np.allclose(gbps, GRID.gbps, atol=5.1e-7, rtol=0)


def write(folder: Path, cost: str, throughput: str) -> None:
    (folder / "cost.csv").write_text("src,dest,src_tier,dest_tier,cost\n" + cost)
    head = "src_region,src_tier,dst_region,dst_tier,throughput_sent\n"
    (folder / "throughput.csv").write_text(head + throughput)


def test_of_a_pair_that_is_there_twice_the_first_row_counts(tmp_path: Path) -> None:
    pair = "aws:a-1,gcp:b-1,PREMIUM,PREMIUM,"
    write(
        tmp_path,
        f"{pair}0.02\n{pair}0.09\ngcp:b-1,aws:a-1,STANDARD,PREMIUM,0.5\n",
        "aws:a-1,PREMIUM,gcp:b-1,PREMIUM,3e9\naws:a-1,PREMIUM,gcp:b-1,PREMIUM,9e9\n",
    )
    grid = NetworkGrid.from_skyplane(tmp_path)
    assert (grid.price("aws:a-1", "gcp:b-1"), grid.rate("aws:a-1", "gcp:b-1")) == (0.02, 3.0)
    with pytest.raises(InputError, match="price from gcp:b-1"):  # of another tier
        grid.price("gcp:b-1", "aws:a-1")


def test_files_that_do_not_read_name_the_line(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="cost.csv"):
        NetworkGrid.from_skyplane(tmp_path)
    write(tmp_path, "aws:a-1,gcp:b-1,PREMIUM,PREMIUM,cheap\n", "")
    with pytest.raises(MalformedLine, match="line 2: cost is 'cheap'"):
        NetworkGrid.from_skyplane(tmp_path)
    write(tmp_path, "aws:a-1,gcp:b-1,PREMIUM,PREMIUM,nan\n", "")
    with pytest.raises(MalformedLine, match="line 2"):
        NetworkGrid.from_skyplane(tmp_path)
    (tmp_path / "cost.csv").write_text("from,to\n")
    with pytest.raises(InputError, match="no column src"):
        NetworkGrid.from_skyplane(tmp_path)


@pytest.mark.parametrize(
    "cloud, gigabytes, usd",
    [
        ("aws", 10_239, 921.51),
        ("aws", 10_240, 921.6),
        ("aws", 12_288, 1095.68),
        ("aws", 51_200, 4403.2),
        ("aws", 61_440, 5120.0),
        ("azure", 12_288, 896 + 2048 * 0.083),
        ("azure", 61_440, 896 + 40_960 * 0.083 + 10_240 * 0.07),
        ("azure", 204_800, 896 + 40_960 * 0.083 + 102_400 * 0.07 + 51_200 * 0.05),
        ("aws", 204_800, 4403.2 + 102_400 * 0.07 + 51_200 * 0.05),
        ("gcp", 1024, 122.88),
        ("gcp", 12_288, 122.88 + 9216 * 0.11 + 2048 * 0.08),
    ],
)
def test_a_bill_is_the_sum_of_its_tiers(cloud: str, gigabytes: float, usd: float) -> None:
    assert LISTED[cloud].cost(gigabytes) == pytest.approx(usd)


volumes = st.floats(0, 4e5)


@given(st.sampled_from(sorted(LISTED)), volumes, volumes)
def test_the_bill_rises_is_concave_and_knows_no_shipments(cloud: str, first: float, second: float) -> None:
    schedule = LISTED[cloud]
    together = schedule.cost(first + second)
    assert schedule.cost(first) + schedule.cost(second, already=first) == pytest.approx(together, abs=1e-6)
    assert schedule.cost(second, already=first) >= 0
    middle = schedule.cost((first + second) / 2)
    assert middle >= (schedule.cost(first) + schedule.cost(second)) / 2 - 1e-6
    assert schedule.segments(1.0, first)[0][1] == schedule.price(first)
    assert sum(size for size, _ in schedule.segments(second, first)) == pytest.approx(second, abs=1e-6)


@given(st.lists(volumes, min_size=1, max_size=4))
def test_a_months_bill_does_not_depend_on_how_it_is_split(sizes: list[float]) -> None:
    route = ("aws:us-east-1", "azure:eastus")
    split = monthly_bill(GRID, [(*route, size) for size in sizes])
    assert split == pytest.approx(LISTED["aws"].cost(sum(sizes)), abs=1e-6)


def test_within_a_cloud_the_price_stays_flat_and_clouds_count_apart() -> None:
    inside = ("aws:us-east-1", "aws:us-west-2", 20_000.0)
    out = [("aws:us-east-1", "azure:eastus", 20_000.0), ("azure:eastus", "aws:us-east-1", 20_000.0)]
    expected = 400 + LISTED["aws"].cost(20_000) + LISTED["azure"].cost(20_000)
    assert monthly_bill(GRID, [inside, *out]) == pytest.approx(expected)
    assert monthly_bill(GRID, out, schedules={}) == pytest.approx(20_000 * (0.09 + 0.0875))


def test_a_shipment_has_no_piece_in_a_tier_that_it_does_not_reach() -> None:
    assert LISTED["aws"].segments(5) == [(5, 0.09)]
    assert LISTED["aws"].segments(5, already=10_240) == [(5, 0.085)]
    assert LISTED["aws"].segments(10, already=10_235) == [(5, 0.09), (5, 0.085)]
    assert LISTED["aws"].segments(0) == []


def test_a_schedule_without_a_price_lowers_none() -> None:
    out = ("aws:us-east-1", "azure:eastus", 100.0)
    assert monthly_bill(GRID, [out], {"aws": EgressSchedule((0.0,), (0.0,))}) == pytest.approx(9)
    assert monthly_bill(GRID, [(*out[:2], 0.0)]) == 0
    for wrong in (-1.0, math.inf, math.nan):
        with pytest.raises(InputError, match="volume is 0 or more"):
            monthly_bill(GRID, [(*out[:2], wrong)])


def test_schedules_that_are_none_are_refused() -> None:
    for above, prices in (((1.0,), (0.1,)), ((0.0, 0.0), (0.1, 0.1)), ((0.0, 5.0), (0.1, 0.2)), ((), ())):
        with pytest.raises(InputError, match="tiers of egress"):
            EgressSchedule(above, prices)
    with pytest.raises(InputError, match="0 or more"):
        LISTED["aws"].cost(-1)
    for wrong in ((math.inf, 0.0), (1.0, math.inf), (1.0, -1.0), (math.nan, 0.0)):
        with pytest.raises(InputError, match="0 or more"):
            LISTED["aws"].cost(*wrong)
