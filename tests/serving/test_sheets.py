"""Lists by day as files: the same rows as JSON has, in CSV and in a workbook that Excel opens."""

import csv
import io
import zipfile
from datetime import UTC, date, datetime
from xml.etree import ElementTree

import msgspec
import pytest

from serving.access.caller import Role
from serving.api.sheets import as_csv, as_xlsx
from tests.builders.serving import DAY, devices_of, fleets_of
from tests.serving.conftest import Served

ACME, ZETA = fleets_of("eu")
ON_DAY = {"from": f"{DAY:%Y-%m-%d}", "to": f"{DAY:%Y-%m-%d}"}
_NS = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


class Line(msgspec.Struct):
    name: str
    day: date
    at: datetime | None
    km: float | None
    done: bool


LINES = [
    Line("=1+1", date(2026, 11, 2), datetime(2026, 11, 2, 9, tzinfo=UTC), 1.5, True),
    Line("plain", date(2026, 11, 3), None, None, False),
]


def cells(body: bytes) -> tuple[list[list[str]], str]:
    """A workbook's cells as text, and its sheet's XML."""
    with zipfile.ZipFile(io.BytesIO(body)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        shared = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
    texts = ["".join(one.itertext()) for one in shared.findall("x:si", _NS)]

    def value(cell: ElementTree.Element) -> str:
        told = cell.findtext("x:v", "", _NS)
        return texts[int(told)] if cell.get("t") == "s" else told

    rows = ElementTree.fromstring(sheet).findall(".//x:row", _NS)
    return [[value(cell) for cell in row.findall("x:c", _NS)] for row in rows], sheet


def test_csv_has_a_header_and_no_formula() -> None:
    first, second = csv.DictReader(io.StringIO(as_csv(Line, LINES).decode()))
    assert first == {
        "name": "'=1+1",
        "day": "2026-11-02",
        "at": "2026-11-02T09:00:00.000Z",
        "km": "1.5",
        "done": "true",
    }
    assert (second["at"], second["km"], second["done"]) == ("", "", "false")


def test_a_workbook_has_dates_as_dates_and_no_formula() -> None:
    rows, sheet = cells(as_xlsx(Line, LINES))
    assert rows[0] == ["name", "day", "at (UTC)", "km", "done"]
    assert rows[1] == ["=1+1", "46328", "46328.375", "1.5", "1"]
    assert "<f>" not in sheet


def test_a_workbook_of_nothing_opens() -> None:
    rows, _ = cells(as_xlsx(Line, []))
    assert rows == [["name", "day", "at", "km", "done"]]


@pytest.mark.parametrize("what", ["trips", "days"])
def test_a_devices_list_is_the_same_in_every_form(served: Served, what: str) -> None:
    path = f"/v1/devices/{devices_of(ACME)[0]}/{what}"
    with served.eu.client(served.eu.token(ACME)) as client:
        (item,) = client.get(path, params=ON_DAY).json()["items"]
        text = client.get(path, params={**ON_DAY, "format": "csv"})
        book = client.get(path, params={**ON_DAY, "format": "xlsx"})
    (line,) = csv.DictReader(io.StringIO(text.text))
    rows, _ = cells(book.content)
    assert list(line) == list(item)
    assert (line["device_id"], float(line["max_speed_kmh"])) == (item["device_id"], item["max_speed_kmh"])
    assert [title.removesuffix(" (UTC)") for title in rows[0]] == list(item)
    assert item["device_id"] in rows[1]
    assert text.headers["content-disposition"] == f'attachment; filename="{devices_of(ACME)[0]}-{what}.csv"'
    assert text.headers["fleetlake-records"] == book.headers["fleetlake-records"] == "1"


def test_a_fleets_device_days_come_page_by_page_and_each_reading_is_recorded(served: Served) -> None:
    path = f"/v1/fleets/{ACME}/device-days"
    with served.eu.client(served.eu.token(ACME)) as client:
        seen, answer = [], client.get(path, params={**ON_DAY, "format": "csv", "limit": 4})
        while True:
            seen += [row["device_id"] for row in csv.DictReader(io.StringIO(answer.text))]
            if "link" not in answer.headers:
                break
            answer = client.get(answer.links["next"]["url"])
        assert seen == devices_of(ACME)
        assert client.get(f"/v1/fleets/{ZETA}/device-days", params=ON_DAY).status_code == 404
    with served.eu.client(served.eu.token(ACME, role=Role.privacy)) as office:
        assert office.get(f"/v1/devices/{seen[-1]}/readings").json()["items"][0]["what"] == "days"
