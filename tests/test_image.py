import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullwhy.image import MAX_LENGTH, ImageReference, InvalidReference, canonical, parse, parsed

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", ImageReference("docker.io", "library/nginx", "latest", "", ("registry", "library", "tag"))),
        ("nginx:1.27", ImageReference("docker.io", "library/nginx", "1.27", "", ("registry", "library"))),
        ("shop/web", ImageReference("docker.io", "shop/web", "latest", "", ("registry", "tag"))),
        ("docker.io/nginx:1", ImageReference("docker.io", "library/nginx", "1", "", ("library",))),
        ("docker.io/shop/web:1", ImageReference("docker.io", "shop/web", "1")),
        ("index.docker.io/nginx:1", ImageReference("docker.io", "library/nginx", "1", "", ("library",))),
        ("registry-1.docker.io/library/nginx:1", ImageReference("registry-1.docker.io", "library/nginx", "1")),
        ("reg.example/nginx:1", ImageReference("reg.example", "nginx", "1")),
        ("reg.example/a/b/c:1", ImageReference("reg.example", "a/b/c", "1")),
        ("reg.example:5000/a", ImageReference("reg.example:5000", "a", "latest", "", ("tag",))),
        ("Reg.Example/a:1", ImageReference("Reg.Example", "a", "1")),
        ("REG/a:1", ImageReference("REG", "a", "1")),
        ("localhost/a:1", ImageReference("localhost", "a", "1")),
        ("localhost:5000", ImageReference("docker.io", "library/localhost", "5000", "", ("registry", "library"))),
        ("localhost:5000/a:1", ImageReference("localhost:5000", "a", "1")),
        ("10.0.0.1:5000/a:1", ImageReference("10.0.0.1:5000", "a", "1")),
        ("[::1]:5000/a:1", ImageReference("[::1]:5000", "a", "1")),
        ("[fd00::1]/a:1", ImageReference("[fd00::1]", "a", "1")),
        (f"reg.example/a@{DIGEST}", ImageReference("reg.example", "a", "", DIGEST)),
        (f"reg.example/a:1@{DIGEST}", ImageReference("reg.example", "a", "1", DIGEST)),
        (f"reg.example/a@sha512:{HEX}{HEX}", ImageReference("reg.example", "a", "", f"sha512:{HEX}{HEX}")),
        (f"{HEX}:1", ImageReference("docker.io", f"library/{HEX}", "1", "", ("registry", "library"))),
        ("x/a.b__c-d---e:_T.1-", ImageReference("docker.io", "x/a.b__c-d---e", "_T.1-", "", ("registry",))),
        (f"{'a' * 70}.example/a:1", ImageReference(f"{'a' * 70}.example", "a", "1")),
        (f"reg.example/a:{'t' * 128}", ImageReference("reg.example", "a", "t" * 128)),
        (f"reg.example/{'a' * 243}:1", ImageReference("reg.example", "a" * 243, "1")),
    ],
)
def test_references_are_normalised_as_the_kubelet_does(text: str, expected: ImageReference) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "fault", "suggestion"),
    [
        ("", "the reference is empty", ""),
        ("a" * (MAX_LENGTH + 1), f"{MAX_LENGTH + 1} characters", ""),
        ("https://reg.example/a:1", "begins with https://", "reg.example/a:1"),
        ("docker://nginx", "begins with docker://", "nginx"),
        ("reg.example/a :1", "white space at character 14", "reg.example/a:1"),
        ("reg.example/a\n", "white space at character 14", "reg.example/a"),
        ("reg.example/ä", "'ä' at character 13", ""),
        ("reg.example/a;rm", "';' at character 14", ""),
        ("reg.example/Web:1", "the upper-case letter 'W' in 'Web'", "reg.example/web:1"),
        ("Nginx", "the upper-case letter 'N'", "nginx"),
        ("Shop/Web:V1", "the upper-case letter 'W' in 'Web'", "shop/web:V1"),
        (f"reg.example/Web@{DIGEST}", "the upper-case letter 'W' in 'Web'", f"reg.example/web@{DIGEST}"),
        ("My_Shop/web", "'My_Shop' is not a host name", "my_shop/web"),
        ("https://https://a", "begins with https://", ""),
        ("reg.example/a:", "a colon with no tag", "reg.example/a"),
        ("reg.example/a:-1", "may only have letters", ""),
        (f"reg.example/a:{'t' * 129}", "129 characters, more than 128", ""),
        ("reg.example/a:1:2", "'a:1' is no path component", ""),
        ("reg.example//a", "two slashes in a row", "reg.example/a"),
        ("reg.example/a/", "two slashes in a row, or one at an end", "reg.example/a"),
        ("/a", "two slashes in a row, or one at an end", "a"),
        ("reg.example/", "the repository is empty", ""),
        ("reg.example/a..b", "'a..b' is no path component", ""),
        ("reg.example/-a", "'-a' is no path component", ""),
        ("reg.example/a___b", "'a___b' is no path component", ""),
        ("my_reg.example/a", "'my_reg.example' is not a host name", ""),
        ("-reg.example/a", "'-reg.example' is not a host name", ""),
        ("reg..example/a", "'reg..example' is not a host name", ""),
        ("reg.example:x/a", "port 'x' is not a number", ""),
        ("reg.example:65536/a", "port '65536' is not a number", ""),
        ("reg.example:/a", "port '' is not a number", ""),
        (HEX, "64 hex digits alone", ""),
        ("a@sha256:abc", "the digest 'sha256:abc' is not", ""),
        (f"a@{DIGEST.upper()}", "is not sha256: and 64 lower-case hex digits", ""),
        (f"a@{DIGEST}@{DIGEST}", "the digest", ""),
        (f"a@md5:{'a' * 32}", "the digest", ""),
        ("a@", "the digest ''", ""),
        (f"reg.example/{'a' * 244}", "more than 255 characters together", ""),
    ],
)
def test_invalid_references_name_fault_and_likely_spelling(text: str, fault: str, suggestion: str) -> None:
    with pytest.raises(InvalidReference) as raised:
        parse(text)
    assert fault in raised.value.fault
    assert raised.value.suggestion == suggestion


@settings(deadline=None)
@given(st.text(alphabet="aA0.:/@-_ ", max_size=40))
def test_every_suggestion_is_valid_itself(text: str) -> None:
    try:
        parse(text)
    except InvalidReference as error:
        suggestion = error.suggestion
    else:
        return
    if suggestion:
        assert parse(suggestion).repository


def test_a_reference_prints_in_full() -> None:
    assert str(parse("nginx")) == "docker.io/library/nginx:latest"
    assert str(parse(f"reg.example:5000/a:1@{DIGEST}")) == f"reg.example:5000/a:1@{DIGEST}"


def test_the_registry_is_asked_for_the_digest_where_there_is_one() -> None:
    assert parse("a:1").reference == "1"
    assert parse(f"a:1@{DIGEST}").reference == DIGEST
    assert parse("nginx").is_docker_hub
    assert not parse("reg.example/a").is_docker_hub
    assert parse("nginx").name == "docker.io/library/nginx"


COMPONENT = st.from_regex(r"[a-z0-9]{1,6}([._-][a-z0-9]{1,4}){0,2}", fullmatch=True)


@settings(deadline=None)
@given(
    st.lists(COMPONENT, min_size=1, max_size=4),
    st.from_regex(r"[A-Za-z0-9_][\w.-]{0,20}", fullmatch=True).filter(str.isascii),
)
def test_what_is_built_by_the_grammar_parses_and_prints_back(path: list[str], tag: str) -> None:
    text = f"reg.example:5000/{'/'.join(path)}:{tag}"
    assert str(parse(text)) == text


@settings(deadline=None)
@given(st.text(alphabet="aA0.:/@-_[] \x00é", max_size=40))
def test_arbitrary_text_parses_or_is_invalid_and_normal_forms_are_stable(text: str) -> None:
    try:
        image = parse(text)
    except InvalidReference:
        return
    again = parse(str(image))
    assert (again.name, again.tag, again.digest) == (image.name, image.tag, image.digest)


def test_spellings_of_one_image_are_told_as_one_and_what_is_none_stays_as_it_is() -> None:
    assert canonical("nginx") == canonical("docker.io/library/nginx:latest") == str(parse("nginx"))
    assert canonical("Shop/Web:1") == "Shop/Web:1"
    assert parsed("Shop/Web:1") is None
