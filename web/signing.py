"""What somebody types to sign the files of a version with a key of their own."""

from django.conf import settings

from registry.states import KeyAlgorithm

ALGORITHM_TITLES = {KeyAlgorithm.ED25519: "Ed25519", KeyAlgorithm.P256: "ECDSA P-256"}
MAKING = (
    "openssl genpkey -algorithm ed25519 -out signing.key\nopenssl pkey -in signing.key -pubout -out signing.pub\n"
    "cat signing.pub"
)
MAKING_P256 = (
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signing.key\n"
    "openssl pkey -in signing.key -pubout -out signing.pub\ncat signing.pub"
)


def signing_commands(full_name: str, version: str, kind: str = "model") -> tuple[str, str]:
    """What somebody types to sign a version offline: with our program, and with the one of OpenSSF model signing."""
    site = settings.PUBLIC_URL
    of_kind = "" if kind == "model" else f" --repo-type {kind}"
    download = f"HF_ENDPOINT={site} hf download {full_name}{of_kind} --revision {version} --local-dir files"
    ours = (
        f"{download}\ncurl -O {site}/static/tools/sign_version.py\npython sign_version.py files signing.key version.sig"
    )
    theirs = (
        f"{download}\npip install model-signing pyopenssl\n"
        "model_signing sign key files --private_key signing.key --signature version.sig --ignore-paths files/.cache"
    )
    return ours, theirs
