"""Reads plain records in machine code: one pass over the bytes of a batch, straight into columns.

Nearly every record is plain: ASCII, no escapes, each key once, values of the contract's types. This reader only marks
any other record, JSON or not, as not plain; another reader decides what it means.
"""

import numpy as np

from ingest.compiled.ascii import (
    COMMA,
    DIGIT_0,
    DIGIT_9,
    LEFT_BRACE,
    LEFT_BRACKET,
    LOWER_N,
    MINUS,
    QUOTE,
    RIGHT_BRACE,
    RIGHT_BRACKET,
)
from ingest.compiled.compiling import entry, helper, inlined
from ingest.compiled.schema import (
    ATTRIBUTES,
    ENGINE_ON,
    EVENT_ID,
    FIRST_LIST,
    FIRST_READING,
    FIRST_TEXT,
    HASH_SIZE,
    MOST_NAMES,
    SIGNALS,
    TS,
    Columns,
    Fields,
)
from ingest.compiled.texts import TextBuffers, contains, put
from ingest.compiled.times import read_time
from ingest.compiled.tokens import (
    equal_bytes,
    read_integer,
    read_literal,
    read_name,
    read_number,
    read_text,
    skip_blank,
)


@helper
def _find_field(buf: np.ndarray, start: int, end: int, fields: Fields) -> int:
    """Index of the field with this name, or -1."""
    length = end - start
    if length == 0:
        return -1
    code = buf[start] * fields.factors[0] + buf[end - 1] * fields.factors[1] + length * fields.factors[2]
    slot = code % HASH_SIZE
    while True:
        field: int = fields.by_hash[slot]
        if field < 0:
            return -1
        first = fields.ends[field - 1] if field else 0
        if fields.ends[field] - first == length and equal_bytes(buf, start, fields.buf, first, length):
            return field
        slot = (slot + 1) % HASH_SIZE


@helper
def _read_text_into(buf: np.ndarray, at: int, texts: TextBuffers, number: int) -> int:
    """Read a text as text `number`. Returns where it ends, or -1."""
    end = read_text(buf, at)
    if end < 0:
        return -1
    put(texts, number, buf, at + 1, end)
    return end + 1


@helper
def _read_list(buf: np.ndarray, at: int, texts: TextBuffers, number: int) -> tuple[int, int]:
    """Read a list of texts, the first as text `number`. Returns the next number, and the end or -1."""
    if buf[at] != LEFT_BRACKET:
        return number, -1
    at = skip_blank(buf, at + 1)
    if buf[at] == RIGHT_BRACKET:
        return number, at + 1
    while True:
        end = read_text(buf, at)
        if end < 0:
            return number, -1
        put(texts, number, buf, at + 1, end)
        number += 1
        at = skip_blank(buf, end + 1)
        if buf[at] == RIGHT_BRACKET:
            return number, at + 1
        if buf[at] != COMMA:
            return number, -1
        at = skip_blank(buf, at + 1)


@helper
def _read_map(
    buf: np.ndarray,
    at: int,
    names: TextBuffers,
    numbers: np.ndarray,
    texts: TextBuffers,
    number: int,
    powers: np.ndarray,
) -> tuple[int, int]:
    """Read a map to numbers, or to texts if `numbers` is empty; an entry that is null is left out.

    Returns the next entry's number, and the end or -1.
    """
    if buf[at] != LEFT_BRACE:
        return number, -1
    first = number
    at = skip_blank(buf, at + 1)
    if buf[at] == RIGHT_BRACE:
        return number, at + 1
    while True:
        end, value = read_name(buf, at)
        if end < 0 or number - first == MOST_NAMES or contains(names, first, number, buf, at + 1, end):
            return number, -1
        if buf[value] == LOWER_N:
            end = read_literal(buf, value)[1]
        else:
            put(names, number, buf, at + 1, end)
            if len(numbers):
                numbers[number], end = read_number(buf, value, powers)
            else:
                end = _read_text_into(buf, value, texts, number)
            number += 1
        if end < 0:
            return number, -1
        at = skip_blank(buf, end)
        if buf[at] == RIGHT_BRACE:
            return number, at + 1
        if buf[at] != COMMA:
            return number, -1
        at = skip_blank(buf, at + 1)


@helper
def _read_identifier(buf: np.ndarray, at: int, texts: TextBuffers, row: int, longest: int, allowed: np.ndarray) -> int:
    """Read a text of allowed bytes into row `row`. Returns where it ends, or -1."""
    end = read_text(buf, at)
    if end < 0 or end - at - 1 > longest:
        return -1
    for place in range(at + 1, end):
        if not allowed[buf[place]]:
            return -1
    put(texts, row, buf, at + 1, end)
    return end + 1


@inlined
def _read_known(buf: np.ndarray, at: int, kind: int, row: int, fields: Fields, columns: Columns) -> int:
    """Read the value of a field of the contract. Returns where it ends, or -1."""
    counts = columns.counts
    if buf[at] == LOWER_N:
        return read_literal(buf, at)[1] if kind > TS or kind <= FIRST_TEXT else -1
    if kind >= FIRST_READING:
        columns.readings[kind - FIRST_READING, row], end = read_number(buf, at, fields.powers)
        return end
    if kind <= FIRST_LIST:
        one = FIRST_LIST - kind
        entries = TextBuffers(columns.list_bufs[one], columns.list_ends[one])
        columns.list_counts[one], end = _read_list(buf, at, entries, columns.list_counts[one])
        columns.list_present[one, row] = 1
        return end
    if kind <= FIRST_TEXT:
        text = FIRST_TEXT - kind
        end = _read_text_into(buf, at, TextBuffers(columns.text_bufs[text], columns.text_ends[text]), row)
        columns.text_present[text, row] = end > 0
        return end
    if kind == ENGINE_ON:
        columns.engine_on[row], end = read_literal(buf, at)
        return end
    if kind == TS:
        columns.ts_ms[row], end = read_time(buf, at + 1) if buf[at] == QUOTE else read_integer(buf, at)
        return end
    if kind == SIGNALS:
        names, numbers = columns.signal_names, columns.signal_values
        counts[0], end = _read_map(buf, at, names, numbers, names, counts[0], fields.powers)
    elif kind == ATTRIBUTES:
        names, texts = columns.attribute_names, columns.attribute_values
        counts[1], end = _read_map(buf, at, names, columns.signal_values[:0], texts, counts[1], fields.powers)
    elif kind == EVENT_ID:
        end = _read_identifier(buf, at, columns.event_ids, row, fields.longest_event_id, fields.any)
        if columns.event_ids.ends[row + 1] == columns.event_ids.ends[row]:
            return end
    else:
        end = _read_identifier(buf, at, columns.device_ids, row, fields.longest_device_id, fields.allowed)
        return end if columns.device_ids.ends[row + 1] > columns.device_ids.ends[row] else -1
    columns.present[kind - EVENT_ID, row] = 1
    return end


@inlined
def _read_unknown(
    buf: np.ndarray, name: int, name_end: int, at: int, before: int, fields: Fields, columns: Columns
) -> int:
    """Note a name that the contract does not know and skip its plain value. Returns where it ends, or -1.

    A name that occurs twice in a record is not plain.
    """
    number = columns.counts[2]
    if number - before == MOST_NAMES or contains(columns.unknown, before, number, buf, name, name_end):
        return -1
    if buf[at] == QUOTE:
        end = read_text(buf, at) + 1
    elif buf[at] == MINUS or DIGIT_0 <= buf[at] <= DIGIT_9:
        end = read_number(buf, at, fields.powers)[1]
    else:
        end = read_literal(buf, at)[1]
    put(columns.unknown, number, buf, name, name_end)
    columns.counts[2] = number + 1
    return end if end > 0 else -1


@inlined
def _read_record(buf: np.ndarray, at: int, row: int, fields: Fields, columns: Columns) -> int:
    """Read one record into row `row`. Returns where it ends, or -1."""
    before = columns.counts[2]
    seen = 0
    at = skip_blank(buf, at)
    if buf[at] != LEFT_BRACE:
        return -1
    while True:
        at = skip_blank(buf, at + 1)
        name = at + 1
        name_end, at = read_name(buf, at)
        if name_end < 0:
            return -1
        field = _find_field(buf, name, name_end, fields)
        if field < 0:
            at = _read_unknown(buf, name, name_end, at, before, fields, columns)
        elif seen >> field & 1:
            return -1
        else:
            seen |= 1 << field
            at = _read_known(buf, at, fields.kinds[field], row, fields, columns)
        if at < 0:
            return -1
        at = skip_blank(buf, at)
        if buf[at] == RIGHT_BRACE:
            return skip_blank(buf, at + 1) if seen & fields.required == fields.required else -1
        if buf[at] != COMMA:
            return -1


@inlined
def _begin(row: int, columns: Columns) -> None:
    """Make the row empty in every column of texts: a field that is not sent leaves it so."""
    columns.device_ids.ends[row + 1] = columns.device_ids.ends[row]
    columns.event_ids.ends[row + 1] = columns.event_ids.ends[row]
    for text in range(len(columns.text_ends)):
        columns.text_ends[text, row + 1] = columns.text_ends[text, row]


@inlined
def _take_back(row: int, columns: Columns) -> None:
    """Make the row null in every column."""
    _begin(row, columns)
    columns.present[:, row] = 0
    columns.text_present[:, row] = 0
    columns.list_present[:, row] = 0
    for one in range(len(columns.list_counts)):
        columns.list_counts[one] = columns.list_offsets[one, row]


@entry
def read(buf: np.ndarray, starts: np.ndarray, ends: np.ndarray, fields: Fields, columns: Columns) -> None:
    """Read all records; record i is bytes [starts[i], ends[i]) of buf."""
    counts = columns.counts
    for row in range(len(starts)):
        signals, attributes, unknown = counts[0], counts[1], counts[2]
        _begin(row, columns)
        short = ends[row] - starts[row] <= fields.longest_record
        if short and _read_record(buf, starts[row], row, fields, columns) == ends[row]:
            columns.plain[row] = 1
        else:
            counts[0], counts[1], counts[2] = signals, attributes, unknown
            _take_back(row, columns)
        for column in range(2):
            columns.entries[column, row + 1] = counts[column]
        for one in range(len(columns.list_counts)):
            columns.list_offsets[one, row + 1] = columns.list_counts[one]
