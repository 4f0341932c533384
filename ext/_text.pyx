"""Kernels over lines of text: where they begin, and the numbers in them. The gate is ``aptstream/io/text.py``.

No kernel checks its input, allocates, or raises: the gate has seen to shapes, lengths and limits.
"""

from libc.math cimport HUGE_VAL, NAN
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memchr

cdef extern from "Python.h":
    double PyOS_string_to_double(const char* text, char** end, void* overflow_exception)

cdef enum:
    COMMENT = 35
    LONGEST_NUMBER = 63
    # What is wrong with a line.
    NO_NUMBER = 1
    TOO_FEW = 2
    TOO_MANY = 3

#: Powers of ten that a double holds exactly, as are whole numbers up to 2⁵³: one product or quotient of the two is
#: rounded once, hence correctly (Clinger 1990).
cdef double[23] POWER = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
]


cdef inline const uint8_t* skip_blanks(const uint8_t* at, const uint8_t* stop, uint8_t separator) noexcept nogil:
    """Skip spaces, and tabs where they do not separate columns themselves."""
    while at < stop and (at[0] == 32 or (at[0] == 9 and separator != 9)):
        at += 1
    return at


cdef inline const uint8_t* end_of_line(const uint8_t* at, const uint8_t* end) noexcept nogil:
    cdef const uint8_t* found = <const uint8_t*>memchr(at, 10, end - at)
    return found if found is not NULL else end


cdef double convert_slowly(const uint8_t* start, const uint8_t* stop, uint8_t mark) noexcept nogil:
    """Round a number with many digits correctly; its syntax is known to be right."""
    cdef char[LONGEST_NUMBER + 1] copy
    cdef Py_ssize_t i
    for i in range(stop - start):
        copy[i] = 46 if start[i] == mark else <char>start[i]
    copy[stop - start] = 0
    with gil:
        return PyOS_string_to_double(copy, NULL, NULL)


cdef inline bint is_word(const uint8_t* at, const uint8_t* stop, const char* word) noexcept nogil:
    """Compare three letters, whatever their case."""
    return stop - at == 3 and (at[0] | 32) == word[0] and (at[1] | 32) == word[1] and (at[2] | 32) == word[2]


cdef const uint8_t* read_word(const uint8_t* at, const uint8_t* end, uint8_t separator, double* value) noexcept nogil:
    """Read nan or inf; whoever asked for the ions decides about them."""
    cdef const uint8_t* stop = at
    while stop < end and stop[0] != 32 and stop[0] != 9 and stop[0] != separator:
        stop += 1
    if is_word(at, stop, b"nan"):
        value[0] = NAN
        return stop
    if is_word(at, stop, b"inf"):
        value[0] = HUGE_VAL
        return stop
    return NULL


cdef const uint8_t* read_number(
    const uint8_t* at, const uint8_t* end, uint8_t mark, uint8_t separator, double* value
) noexcept nogil:
    """Read a decimal number; return where it ends, or NULL where there is none."""
    cdef const uint8_t* start = at
    cdef const uint8_t* first
    cdef uint64_t mantissa = 0
    cdef int64_t scale = 0, power = 0
    cdef int digits = 0
    cdef bint negative = False, below = False, any_digit = False, falling = False
    if at < end and (at[0] == 43 or at[0] == 45):
        negative = at[0] == 45
        at += 1
    first = at
    while at < end:
        if 48 <= at[0] <= 57:
            any_digit = True
            digits += mantissa > 0 or at[0] > 48
            if digits <= 19:
                mantissa = 10 * mantissa + (at[0] - 48)
            scale -= below
        elif at[0] == mark and not below:
            below = True
        else:
            break
        at += 1
    if not any_digit:
        at = read_word(first, end, separator, value) if at == first else NULL
        value[0] = -value[0] if negative else value[0]
        return at
    if at < end and (at[0] | 32) == 101:
        at += 1
        if at < end and (at[0] == 43 or at[0] == 45):
            falling = at[0] == 45
            at += 1
        first = at
        while at < end and 48 <= at[0] <= 57:
            power = min(10 * power + (at[0] - 48), 100000)
            at += 1
        if at == first:
            return NULL
        scale += -power if falling else power
    if at - start > LONGEST_NUMBER:
        return NULL
    if digits <= 19 and mantissa <= <uint64_t>1 << 53 and -22 <= scale <= 22:
        value[0] = mantissa / POWER[-scale] if scale < 0 else mantissa * POWER[scale]
        value[0] = -value[0] if negative else value[0]
    else:
        value[0] = convert_slowly(start, at, mark)
    return at


cdef int read_line(
    const uint8_t* at, const uint8_t* stop, uint8_t separator, uint8_t mark, const int64_t[::1] target,
    float* position, float* mass_to_charge, int64_t* column,
) noexcept nogil:
    """Read the wanted columns of one line; return what is wrong with it, or 0."""
    cdef Py_ssize_t i, last = target.shape[0] - 1
    cdef const uint8_t* field
    cdef double value = 0
    for i in range(last + 1):
        column[0] = i
        at = skip_blanks(at, stop, separator)
        if at == stop and separator == 32:
            return TOO_FEW
        if target[i] >= 0:
            at = read_number(at, stop, mark, separator, &value)
            if at is NULL:
                return NO_NUMBER
            if target[i] < 3:
                position[target[i]] = <float>value
            else:
                mass_to_charge[0] = <float>value
        elif separator == 32:
            while at < stop and at[0] != 32 and at[0] != 9:
                at += 1
        else:
            while at < stop and at[0] != separator:
                at += 1
        field = at
        at = skip_blanks(at, stop, separator)
        if i == last:
            return 0 if at == stop else (TOO_MANY if at[0] == separator or field < at else NO_NUMBER)
        if separator == 32:
            if at == field and at < stop:
                return NO_NUMBER
        elif at == stop:
            return TOO_FEW
        elif at[0] != separator:
            return NO_NUMBER
        else:
            at += 1
    return 0


def index_lines(
    const uint8_t[::1] text, int64_t base, int64_t stride, int64_t longest, int64_t[::1] count, int64_t[:, ::1] place,
):
    """Count lines and those that hold data into `count` (lines, data, places found, length beyond `longest` or 0);
    of every `stride`-th data line write into `place` where it begins and how many lines stand before it."""
    cdef const uint8_t* start = &text[0]
    cdef const uint8_t* end = start + text.shape[0]
    cdef const uint8_t* at = start
    cdef const uint8_t* stop
    cdef const uint8_t* first
    with nogil:
        while at < end:
            stop = end_of_line(at, end)
            if stop - at > longest:
                count[3] = stop - at
                break
            first = skip_blanks(at, stop, 32)
            if first < stop and first[0] != COMMENT and not (first[0] == 13 and first + 1 == stop):
                if count[1] % stride == 0:
                    place[count[2], 0] = base + (at - start)
                    place[count[2], 1] = count[0]
                    count[2] += 1
                count[1] += 1
            count[0] += 1
            at = stop + 1


def parse_lines(
    const uint8_t[::1] text, uint8_t separator, uint8_t mark, const int64_t[::1] target, int64_t[::1] count,
    float[:, ::1] position, float[::1] mass_to_charge,
):
    """Read lines until the arrays are full or the text ends; `count` holds rows to skip, and is given lines passed,
    rows read, what is wrong with the next line, in which column, and where it begins."""
    cdef const uint8_t* start = &text[0]
    cdef const uint8_t* end = start + text.shape[0]
    cdef const uint8_t* at = start
    cdef const uint8_t* line
    cdef const uint8_t* stop
    cdef const uint8_t* first
    with nogil:
        while at < end and count[2] < mass_to_charge.shape[0]:
            line = at
            stop = end_of_line(at, end)
            at = stop + 1
            if stop > line and (stop - 1)[0] == 13:
                stop -= 1
            first = skip_blanks(line, stop, 32)
            if first < stop and first[0] != COMMENT:
                if count[0] > 0:
                    count[0] -= 1
                else:
                    count[3] = read_line(
                        line, stop, separator, mark, target, &position[count[2], 0], &mass_to_charge[count[2]],
                        &count[4],
                    )
                    if count[3]:
                        count[5] = line - start
                        break
                    count[2] += 1
            count[1] += 1
