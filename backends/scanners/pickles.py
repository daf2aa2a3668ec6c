"""Pickles, by allow-list. A pickle is a program: it is never called data. What it imports decides what it is called instead."""

from collections.abc import Iterable, Iterator

from backends.contracts.scanners import Content, Finding, Scanner, Verdict
from backends.scanners import opcodes

_DTYPES = "Float Double Half BFloat16 Byte Char Short Int Long Bool ComplexFloat ComplexDouble Untyped".split()
USUAL: frozenset[tuple[str, str]] = frozenset(
    {
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("collections", "Counter"),
        ("collections", "deque"),
        ("builtins", "set"),
        ("builtins", "frozenset"),
        ("builtins", "dict"),
        ("builtins", "list"),
        ("builtins", "tuple"),
        ("builtins", "int"),
        ("builtins", "float"),
        ("builtins", "complex"),
        ("builtins", "bytearray"),
        ("builtins", "slice"),
        ("builtins", "range"),
        ("builtins", "object"),
        ("__builtin__", "set"),
        ("__builtin__", "frozenset"),
        ("__builtin__", "object"),
        ("copyreg", "_reconstructor"),
        ("copy_reg", "_reconstructor"),
        ("_codecs", "encode"),
        ("datetime", "datetime"),
        ("datetime", "date"),
        ("datetime", "time"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
        ("uuid", "UUID"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.numeric", "_frombuffer"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_tensor_v3"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch", "Size"),
        ("torch", "device"),
        ("torch.serialization", "_get_layout"),
        ("torch.storage", "UntypedStorage"),
        ("joblib.numpy_pickle", "NumpyArrayWrapper"),
        *(("torch", f"{name}Storage") for name in _DTYPES),
        *(("torch", name) for name in "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool".split()),
        *(("numpy.dtypes", f"{name}DType") for name in "Float32 Float64 Int32 Int64 Bool UInt8 Str Object".split()),
    }
)
"""What files of tensors import, by exact name: each builds a value and does nothing else with what the pickle gives it."""

_ATTACK_MODULES = frozenset(
    """os posix nt posixpath.os subprocess _posixsubprocess pty popen2 commands socket _socket socketserver shutil runpy code codeop webbrowser
    ctypes _ctypes importlib imp pkgutil pip timeit cProfile profile pdb bdb trace doctest http urllib urllib2 requests httpx
    ftplib smtplib telnetlib imaplib poplib nntplib xmlrpc asyncio multiprocessing _xxsubinterpreters _interpreters concurrent pickle _pickle cPickle marshal shelve dill
    joblib._parallel_backends ensurepip venv idlelib lib2to3 distutils setuptools pydoc antigravity this signal _signal faulthandler gc
    numpy.f2py numpy.distutils torch.hub torch._inductor torch.utils.cpp_extension torch.jit._script sys mmap fcntl resource
    sqlite3 zipimport site sysconfig aix_support _osx_support _aix_support platform pexpect paramiko fabric invoke""".split()
)
"""No file of tensors, no fitted model imports from these, nor from modules below them."""
_ATTACKS: frozenset[tuple[str, str]] = frozenset(
    (module, name)
    for module in ("builtins", "__builtin__")
    for name in "eval exec execfile compile open __import__ input breakpoint globals locals vars delattr setattr help exit quit".split()
) | frozenset(
    {
        ("numpy.testing._private.utils", "runstring"),
        ("numpy.testing.utils", "runstring"),
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("pandas", "read_pickle"),
        ("pandas", "eval"),
        ("torch", "load"),
        ("torch.serialization", "load"),
        ("torch.jit", "load"),
        ("joblib", "load"),
        ("yaml", "load"),
        ("yaml", "unsafe_load"),
        ("logging", "FileHandler"),
        ("logging.config", "listen"),
        ("io", "open"),
        ("_io", "open"),
        ("io", "FileIO"),
        ("_io", "FileIO"),
        ("codecs", "open"),
        ("linecache", "getline"),
        ("linecache", "getlines"),
        ("fileinput", "input"),
        ("types", "FunctionType"),
        ("types", "CodeType"),
        ("uuid", "_get_command_stdout"),
        ("tempfile", "mktemp"),
    }
)


def judge(module: str, name: str) -> Finding:
    """What to say of one import. Only exact names of the list are usual; a dotted name walks on from what it imports, so it never is."""
    shown = f"{module}.{name}"[:120]
    if (module, name) in USUAL:
        return Finding("pickles.usual", Verdict.CODE, f"Imports {shown}, as files of tensors do.")
    parts = module.split(".")
    above = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    walked = set(name.split(".")[:-1])
    if (
        above & _ATTACK_MODULES
        or (module, name) in _ATTACKS
        or (module, name.split(".", maxsplit=1)[0]) in _ATTACKS
        or walked & {"os", "sys", "subprocess", "__globals__", "__builtins__", "__subclasses__", "modules"}
    ):
        return Finding(
            "pickles.attack",
            Verdict.MALICIOUS,
            f"Imports {shown}, which no model needs: opening it would act on the machine.",
        )
    return Finding("pickles.import", Verdict.FLAGGED, f"Imports {shown}, which is not on the list of harmless names.")


class PickleScanner(Scanner):
    """Pickles, bare or inside a format that is known to carry them. Code when every import is on the allow-list; malicious when one is of a
    kind that only attacks use; flagged otherwise."""

    name = "pickles"
    rules_version = "2"

    def look(self, content: Content) -> Iterable[Finding]:
        if content.format == "pickle":
            yield Finding("pickles.pickle", Verdict.CODE, "It is a pickle: opening it runs whatever it says.")
            yield from self._of(content.data)
        elif content.format == "npy" and b"|O" in content.head[:2048]:
            yield Finding(
                "pickles.objects", Verdict.FLAGGED, "It is a NumPy array of Python objects, which is a pickle."
            )
            yield from _imports(set(opcodes.hidden_imports(bytes(content.data[: 64 * 1024**2]))))
        elif content.format == "text":
            yield from self._in_text(content)
        elif content.format == "":
            yield from _imports(set(opcodes.hidden_imports(bytes(content.data[: 64 * 1024**2]))), only_attacks=True)

    def _of(self, data: memoryview) -> Iterator[Finding]:
        imports: set[tuple[str, str]] = set()
        oddities: set[str] = set()
        is_whole = False
        for _at, reading in opcodes.all_of(data):
            imports |= reading.imports
            oddities |= reading.oddities
            is_whole = is_whole or reading.end is not None
        yield from _imports(imports)
        for sentence in sorted(oddities):
            # torch and joblib keep tensors outside of the pickle by persistent ids: usual, and still no data
            is_usual = "persistent id" in sentence and imports <= USUAL
            yield Finding("pickles.odd", Verdict.CODE if is_usual else Verdict.FLAGGED, sentence)
        if not is_whole:
            yield Finding("pickles.cut", Verdict.UNKNOWN, "The pickle could not be read to its end.")

    def _in_text(self, content: Content) -> Iterator[Finding]:
        tail = b""
        found: set[tuple[str, str]] = set()
        for at in range(0, content.size, 1024**2):
            block = tail + bytes(content.data[at : at + 1024**2])
            found |= opcodes.in_text(block)
            tail = block[-65536:]
        if found:
            yield Finding("pickles.hidden", Verdict.FLAGGED, "There is a pickle inside the text.")
            yield from _imports(found)


def _imports(found: set[tuple[str, str]], *, only_attacks: bool = False) -> Iterator[Finding]:
    for module, name in sorted(found)[:200]:
        finding = judge(module, name)
        if not only_attacks or finding.verdict is Verdict.MALICIOUS:
            yield finding
