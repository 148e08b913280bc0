"""The options about who may open an association, and how he has to behave.

Owns their spellings and help text, as `option_table` does for all others.
"""

from dcmrecv.config.option import Heading, Option

ACCESS_OPTIONS: tuple[Heading | Option, ...] = (
    Heading("extended options", "access"),
    Option(
        "--accept-calling",
        "",
        "[a]etitle: string, * and ? are wildcards\n"
        "accept associations from a only (repeatable)",
        "access.calling",
        values=1,
        repeatable=True,
    ),
    Option(
        "--accept-called",
        "",
        "[a]etitle: string, * and ? are wildcards\n"
        "accept associations to a only (repeatable), and to\n"
        "the one of --aetitle",
        "access.called",
        values=1,
        repeatable=True,
    ),
    Option(
        "--accept-host",
        "",
        "[a]ddress: IP address or network (10.1.0.0/16)\n"
        "accept associations from there only (repeatable)",
        "access.hosts",
        values=1,
        repeatable=True,
    ),
    Option(
        "--max-associations-per-host",
        "",
        "[n]umber: integer (1..4096, default: no limit)\n"
        "serve at most n associations of a host at a time",
        "access.max_per_host",
        values=1,
        bounds=(1, 4_096),
    ),
    Option(
        "--proxy-protocol",
        "",
        "[a]ddress: IP address or network\n"
        "take the peer's address from the PROXY protocol\n"
        "version 2 header that a must send (repeatable)",
        "access.proxies",
        values=1,
        repeatable=True,
    ),
    Option(
        "--user-file",
        "",
        "[f]ilename: string\naccept users in f only, see --add-user",
        "access.user_file",
        values=1,
    ),
    Option(
        "--strict",
        "",
        "abort associations for what is illegal but harmless,\n"
        "which is read and counted otherwise",
        "access.strict",
    ),
    Option(
        "--min-rate",
        "",
        "[b]ytes: integer (1..4294967295, default: no limit)\n"
        "end associations that send less than b per second\n"
        "inside a message, on an average over 10 seconds",
        "access.min_rate",
        values=1,
        bounds=(1, 2**32 - 1),
    ),
    Option(
        "--check-config",
        "",
        "check everything but the port, print what would be\n"
        "accepted and why, and exit",
    ),
    Option(
        "--add-user",
        "",
        "[f]ilename, [n]ame: string\n"
        "add user n to file f, or change the passcode, which\n"
        "is asked for or comes from standard input, and exit",
        values=2,
    ),
)
