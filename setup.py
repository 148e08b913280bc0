"""The extension list and nothing else: one Extension for every .pyx under src/.

DCMRECV_DEBUG=1 builds with every check on; DCMRECV_SANITIZE=1 adds the address and
undefined behaviour sanitizers on top of that.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

debug = os.environ.get("DCMRECV_DEBUG") == "1"
sanitize = os.environ.get("DCMRECV_SANITIZE") == "1"
checked = debug or sanitize

compile_args = ["-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion"]
# Python's own flags ask for debug information: three quarters of the wheel.
compile_args += ["-O1", "-g"] if checked else ["-O2", "-g0"]
link_args = []
if sanitize:
    sanitizers = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    compile_args += sanitizers
    link_args += sanitizers

source = Path("src")
setup(
    ext_modules=cythonize(
        [
            Extension(
                ".".join(path.relative_to(source).with_suffix("").parts),
                [str(path)],
                extra_compile_args=compile_args,
                extra_link_args=link_args,
                define_macros=[("DCMRECV_CHECKED", "1")] if checked else [],
            )
            for path in sorted(source.rglob("*.pyx"))
        ],
        compiler_directives={
            "language_level": 3,
            "boundscheck": checked,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": checked,
            "embedsignature": True,
            "freethreading_compatible": False,
        },
        include_path=["src"],
        build_dir="build/cython",
    )
)
