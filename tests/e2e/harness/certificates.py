"""Certificates for a test, made by openssl(1) when the test runs."""
import os
import pathlib
import subprocess
import tempfile

import grpc

CONFIG = """[ca]
default_ca = own
[own]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Certificates:
    """A folder of certificates and keys: NAME.crt and NAME.key."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="tributary-tls-")
        self.folder = pathlib.Path(self._folder.name)
        (self.folder / "index").touch()
        (self.folder / "config").write_text(CONFIG.format(folder=self.folder))

    def close(self):
        self._folder.cleanup()

    def _openssl(self, *arguments):
        command = ["openssl", *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {arguments}: {done.stderr}")

    def crt(self, name):
        return self.folder / f"{name}.crt"

    def key(self, name):
        return self.folder / f"{name}.key"

    def ca(self, name):
        self._openssl("req", "-x509", *KEY, "-keyout", self.key(name), "-out", self.crt(name),
                      "-subj", f"/CN={name}", "-days", 30)
        return self.crt(name)

    def issue(self, name, ca, names="DNS:localhost,IP:127.0.0.1", dates=None, extensions="", key=KEY):
        """Makes a key and a certificate that `ca` signs. `dates`: its first and last moment."""
        request, extra = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        self._openssl("req", "-new", *key, "-keyout", self.key(name), "-out", request, "-subj", f"/CN={name}")
        os.chmod(self.key(name), 0o600)
        extra.write_text((f"subjectAltName={names}\n" if names else "") + extensions)
        first, last = dates or ("20250101000000Z", "20991231000000Z")
        self._openssl("ca", "-batch", "-notext", "-config", "config", "-in", request, "-out", self.crt(name),
                      "-cert", self.crt(ca), "-keyfile", self.key(ca), "-startdate", first, "-enddate", last,
                      "-extfile", extra)
        return self.crt(name)

    def server(self, name, client_ca=None):
        """Credentials of a server for Python's gRPC. `client_ca`: it wants a client's certificate."""
        pair = (self.key(name).read_bytes(), self.crt(name).read_bytes())
        roots = self.crt(client_ca).read_bytes() if client_ca else None
        return grpc.ssl_server_credentials([pair], roots, client_ca is not None)
