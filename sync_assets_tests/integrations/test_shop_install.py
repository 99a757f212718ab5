"""The installer: one block in init.php that can be taken out again, and never a site that is broken by it."""

import pytest

from sync_assets_tests.integrations.site import Posted, Site

SAVED = ("sale", "OnSaleOrderSaved", {"ENTITY": 122001})
INITS = {
    "absent": None,
    "empty": "",
    "open": "<?php\n$x = 1;",
    "comment": "<?php\n// the last line is a comment",
    "closed": "<?php\n$x = 1;\n?>\n",
    "html": "<?php if (true): ?>\n<!-- x --><?php endif;",
    "echo": '<?= "" ?>',
}


@pytest.fixture
def bare(site: Site) -> Site:
    site.init.unlink()
    return site


@pytest.mark.parametrize("init", INITS.values(), ids=INITS)
def test_it_is_put_in_works_and_is_taken_out_byte_by_byte(bare: Site, receiver: Posted, init: str | None) -> None:
    if init is not None:
        bare.init.write_text(init)
    shown = bare.hit(SAVED)
    assert "would add" in bare.php("install.php", "--dry-run")
    assert bare.init.exists() == (init is not None) and not receiver.bodies
    assert "include.php" in bare.php("install.php")
    installed = bare.init.read_text()
    assert bare.hit(SAVED) == shown and len(receiver.bodies) == 1
    assert "has it already" in bare.php("install.php") and bare.init.read_text() == installed
    assert "would do" in bare.php("install.php", "--rollback", "--dry-run") and bare.init.read_text() == installed
    bare.php("install.php", "--rollback")
    assert (bare.init.read_text() if bare.init.exists() else None) == init
    assert bare.hit(SAVED) == shown and len(receiver.bodies) == 1
    assert "does not load it" in bare.php("install.php", "--rollback") or init is None


def test_what_was_edited_since_keeps_its_edits(bare: Site, receiver: Posted) -> None:
    bare.init.write_text("<?php\n$x = 1;\n")
    bare.php("install.php")
    bare.init.write_text(bare.init.read_text() + "$y = 2;\n")
    assert "edited since" in bare.php("install.php", "--rollback")
    assert bare.init.read_text() == "<?php\n$x = 1;\n$y = 2;\n"
    bare.hit(SAVED)
    assert not receiver.bodies


def test_a_site_whose_init_is_broken_is_left_as_it_is(bare: Site) -> None:
    bare.init.write_text("<?php\nif (true) {")
    assert "nothing was changed" in bare.php("install.php", status=1)
    assert bare.init.read_text() == "<?php\nif (true) {"
    assert list(bare.init.parent.iterdir()) == [bare.init]


def test_bitrix_own_folder_is_used_where_there_is_no_local_one(bare: Site, receiver: Posted) -> None:
    init = bare.root / "bitrix/php_interface/init.php"
    init.parent.mkdir()
    init.write_text("<?php\n")
    bare.php("install.php")
    assert "sync_assets" in init.read_text() and not bare.init.exists()
    bare.hit(SAVED)
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize("folder", ["www/upload/var", "www"])
def test_what_the_web_could_ask_for_is_refused(bare: Site, receiver: Posted, folder: str) -> None:
    bare.configure(url=receiver.url, folder=str(bare.root.parent / folder))
    assert "inside the web root" in bare.php("install.php", status=1)


def test_without_the_package_the_site_goes_on(bare: Site, receiver: Posted) -> None:
    bare.php("install.php")
    bare.package.rename(bare.package.with_name("moved"))
    assert bare.hit(SAVED) == "page" and not receiver.bodies and bare.log == ""
