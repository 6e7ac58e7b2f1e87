"""``python sbom.py CYCLONEDX ENVIRONMENT ROOT SERVICE VERSION``: print what an image contains, as CycloneDX JSON.

cyclonedx-py lists the Python packages with their licences; this adds the Debian packages that ``root.py`` recorded.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path
from typing import Any


def main() -> None:
    cyclonedx, environment, root, service, version = sys.argv[1:]
    python = Path(environment, "bin", "python")
    command = [cyclonedx, "environment", "--output-reproducible", "--output-format", "JSON", str(python)]
    document = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    document["metadata"]["component"] = component("application", f"haoma-{service}", version)
    add_licences(document["components"], Path(environment))
    document["components"] += [debian(path) for path in sorted(Path(root, "var/lib/dpkg/status.d").iterdir())]
    json.dump(document, sys.stdout, indent=1)


def add_licences(components: Iterable[dict[str, Any]], environment: Path) -> None:
    """The licences that cyclonedx-py leaves out, because packages name them in words of their own."""
    files = environment.glob("lib/*/site-packages/*.dist-info/METADATA")
    packages = [HeaderParser().parsestr(file.read_text()) for file in files]
    named = {package["Name"]: package["License"] for package in packages if package["License"]}
    for each in components:
        if not each.get("licenses") and each["name"] in named:
            each["licenses"] = [{"license": {"name": named[each["name"]]}}]


def debian(status: Path) -> dict[str, Any]:
    """A Debian package, from its entry in dpkg's list."""
    fields = HeaderParser().parsestr(status.read_text())
    name, version = fields["Package"], fields["Version"]
    url = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={fields['Architecture']}"
    licence = {"license": {"name": f"see /usr/share/doc/{name}/copyright"}}
    return component("library", name, version) | {"purl": url, "bom-ref": url, "licenses": [licence]}


def component(kind: str, name: str, version: str) -> dict[str, Any]:
    return {"type": kind, "name": name, "version": version, "bom-ref": f"{name}=={version}"}


if __name__ == "__main__":
    main()
