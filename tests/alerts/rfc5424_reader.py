"""A reader of syslog messages, written from the grammar of RFC 5424, section 6."""

import re

HEADER = re.compile(
    rb"<(?P<pri>\d{1,3})>(?P<version>[1-9]\d{0,2}) (?P<timestamp>-|\S+) (?P<hostname>[!-~]{1,255}) "
    rb"(?P<app_name>[!-~]{1,48}) (?P<process_id>[!-~]{1,128}) (?P<message_id>[!-~]{1,32}) "
)
ELEMENT = re.compile(
    rb'\[(?P<id>[^\]= "\x00-\x20\x7f-\xff]{1,32})(?P<parameters>(?: [^\]= "]+="(?:[^"\\\]]|\\.)*")*)\]'
)
PARAMETER = re.compile(rb' (?P<name>[^\]= "\x00-\x20\x7f-\xff]{1,32})="(?P<value>(?:[^"\\\]]|\\.)*)"')


def parse(message: bytes) -> dict:
    """Return the parts of an RFC 5424 message: section 6's grammar; raises AssertionError otherwise."""
    header = HEADER.match(message)
    assert header, message
    at, elements = header.end(), {}
    while found := ELEMENT.match(message, at):
        values = PARAMETER.findall(found["parameters"])
        elements[found["id"].decode()] = {
            name.decode(): re.sub(rb'\\(["\\\]])', rb"\1", value).decode() for name, value in values
        }
        at = found.end()
    assert elements, message
    assert message[at : at + 1] == b" ", message[at:]
    parts = {name: value.decode() for name, value in header.groupdict().items()}
    facility, severity = divmod(int(parts["pri"]), 8)
    return {
        **parts,
        "facility": facility,
        "severity": severity,
        "elements": elements,
        "text": message[at + 1 :],
    }
