"""What of the environment may stand in a log."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.pretrain.log_filters import MASK, is_secret, mask_secrets

SECRET = [
    *(
        "HF_TOKEN",
        "GITHUBTOKEN",
        "WANDB_API_KEY",
        "OPENAI_APIKEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ),
    *("MYSQL_PWD", "PGPASSWORD", "SSH_PASSPHRASE", "PGPASS", "DB_PASSWD", "GOOGLE_APPLICATION_CREDENTIALS"),
    *("PRIVATE_DATA", "SIGNING_KEY", "NPM_AUTH", "SESSION_COOKIE", "ftp_password", "MUNGE_KEY"),
]
PLAIN = [
    *("PATH", "PWD", "OLDPWD", "HOME", "TOKENIZERS_PARALLELISM", "SLURM_JOB_ID", "MASTER_PORT", "KEYBOARD"),
    *("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "RANK", "XAUTHORITY", "SSH_AUTH_SOCK", "MONKEYS"),
]


@pytest.mark.parametrize("name", SECRET)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", PLAIN)
def test_other_names(name: str) -> None:
    assert not is_secret(name)


@given(
    st.dictionaries(st.sampled_from(SECRET), st.text("abc0123456789", min_size=6), min_size=1),
    st.dictionaries(st.sampled_from(PLAIN), st.text("xyz /:", max_size=12)),
    st.data(),
)
def test_no_secret_is_left_wherever_it_stood(
    secrets: dict[str, str], plain: dict[str, str], data: st.DataObject
) -> None:
    copied = data.draw(st.sampled_from(sorted(secrets.values())))
    environment = {**secrets, **plain, "COMMAND": f"run --with={copied} --more"}
    shown = mask_secrets(environment)
    assert shown.keys() == environment.keys()
    assert all(secret not in value for secret in secrets.values() for value in shown.values())
    assert {name: shown[name] for name in plain} == plain


def test_users_in_addresses_are_hidden_and_empty_secrets_shown_as_empty() -> None:
    shown = mask_secrets(
        {
            "HTTPS_PROXY": "http://me:word@proxy:80/x@y",
            "PLAIN": "http://proxy:80",
            "API_KEY": "",
            "TOKEN": "a",
        }
    )
    assert shown == {
        "HTTPS_PROXY": f"http://{MASK}@proxy:80/x@y",
        "PLAIN": "http://proxy:80",
        "API_KEY": "",
        "TOKEN": MASK,
    }


def test_it_can_be_imported_before_anything_else() -> None:
    code = (
        "import sys; import recipes.pretrain.log_filters; print([name for name in sys.modules if "
        "name.split('.')[0] in ('submitit', 'torch', 'numpy', 'psutil', 'fairseq2')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
