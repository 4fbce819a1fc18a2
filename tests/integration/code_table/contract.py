"""Hold the codes that the contract prints (section 7), and those that its checks name (section 6)."""

from itertools import chain

_RANGES = """
    0001-0007 0009-0023 1003-1004 1008-1008 1018-1019 2001-2004 2006-2031 2033-2035 2037-2052 3001-3006 3008-3011
    3013-3018 3021-3023 3035-3036 3040-3040 3042-3046 3048-3049 3051-3063 3066-3076 4001-4021 4025-4030
"""
_OTHER_STATUSES = {
    500: "0001",
    401: "0003",
    403: "0004",
    404: "0005 2006 2007 2008 2030 4004 4008 4012 4021 4030",
    504: "0011 0012 0013",
}


def _written(number: str) -> str:
    """Return a code as the contract prints it: one of them has a lower-case p."""
    return f"Endpoint.{number}" if number == "1018" else f"EndPoint.{number}"


_NUMBERS = chain.from_iterable(range(int(pair[:4]), int(pair[5:]) + 1) for pair in _RANGES.split())
STATUS_OF = {_written(f"{number:04}"): 400 for number in _NUMBERS} | {
    _written(number): status for status, numbers in _OTHER_STATUSES.items() for number in numbers.split()
}
"""The status of every code of section 7."""

_CHECKS = """
    0002 0003 0004 0005 0006 0007 0010 0011 0014 0015 0016 0017 0018 0019 0020 0021 0023 1003 1004 1018 1019 2001 2002
    2003 2004 2006 2008 2009 2010 2011 2012 2013 2014 2015 2017 2018 2019 2027 2029 2031 2033 2034 2037 2039 2040 2041
    2042 2043 2044 2045 2047 2048 2049 2050 3002 3003 3004 3006 3008 3009 3011 3021 3035 3036 3042 3043 3044 3045 3049
    3051 3052 3053 3054 3055 3056 3062 3063 3066 3067 3068 3069 3070 3071 3072 3073 3074 3075 3076 4004 4008 4012 4030
"""
CODES_OF_CHECKS = {_written(number) for number in _CHECKS.split()}
"""Every code that a check of section 6 names."""

NOT_SENT = {
    "EndPoint.0011": "an empty body is malformed: 1004, as section 6.1 recommends",
    "EndPoint.1003": "has the same text as 3076",
    "EndPoint.3003": "has the same text as 3063",
    "EndPoint.2034": "has the same text as 2033",
    "EndPoint.4004": "4008 says the same of a subnet",
    "EndPoint.4012": "3008 says the same of a port",
    "EndPoint.2009": "a specification that is unknown is a bad one: 0015",
    "EndPoint.2008": "an endpoint that is gone is forgotten: 2006",
    "EndPoint.2014": "to accept an accepted endpoint succeeds (section 14, decision 3)",
    "EndPoint.2015": "no account is frozen",
    "EndPoint.2050": "no endpoint is disabled",
    "EndPoint.3056": "services on a backend are bounded by its ports (section 14, decision 5)",
}
"""Codes of section 6 that no answer has, and why."""
