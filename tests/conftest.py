"""What holds for every test: one test's logging levels are not the next one's."""

import logging

import pytest


@pytest.fixture(autouse=True)
def levels_of_loggers():
    """Give the loggers their levels back: a command sets them for its process, and tests share one."""
    loggers = [
        logging.getLogger(),
        *(one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)),
    ]
    before = {logger: logger.level for logger in loggers}
    yield
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.setLevel(before.get(logger, logging.NOTSET))
    logging.root.setLevel(before[logging.root])
