//! From positional and keyword arguments to a task's struct, with errors that name the field.

mod typed;

use crate::task::Task;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Arguments that do not fit a task. Reads like Python's own error. [`Signature`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadArguments(String);

/// The arguments that a task takes, in the order of its fields; read from its JSON Schema.
///
/// ```
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Add { x: i64, y: i64 }
/// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
/// use counterfoil_toolbox::call::Signature;
///
/// let signature = Signature::of::<Add>();
/// let add = signature.bind::<Add>("[2]", r#"{"y": 3}"#)?;
/// assert_eq!(add.x + add.y, 5);
/// assert!(signature.takes("x") && !signature.takes("z"));
/// assert_eq!(signature.named("[2]", r#"{"y": 3}"#)?, r#"{"x":2,"y":3}"#);
/// let error = signature.bind::<Add>("[2]", "{}").err().unwrap();
/// assert!(error.to_string().ends_with("is missing the required argument `y`"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Signature {
    task: Box<str>,
    parameters: Vec<Parameter>,
    /// The struct takes names that its schema does not list (a map, a flattened field, an enum).
    open: bool,
}

#[derive(Debug, Clone)]
struct Parameter {
    name: String,
    required: bool,
}

/// One argument: its name and its value as JSON text.
type Named<'a> = (Cow<'a, str>, &'a RawValue);

impl Signature {
    /// The signature of task type `T`.
    #[must_use]
    pub fn of<T: Task>() -> Self {
        Self::from_schema(T::NAME, schemars::schema_for!(T).as_value())
    }

    /// The signature of the task `name`, whose arguments have this JSON Schema. The order of its
    /// `properties` is the order of positional arguments.
    #[must_use]
    pub fn from_schema(name: &str, schema: &Value) -> Self {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object);
        let names = properties.into_iter().flat_map(|p| p.keys());
        let parameter = |name: &String| Parameter {
            name: name.clone(),
            required: required.contains(&name.as_str()),
        };
        let parameters = names.map(parameter).collect();
        let more = schema
            .get("additionalProperties")
            .is_some_and(|more| *more != Value::Bool(false));
        let composed = ["anyOf", "oneOf", "allOf"]
            .iter()
            .any(|word| schema.get(*word).is_some());
        Self {
            task: name.into(),
            parameters,
            open: more || composed,
        }
    }

    /// Whether the struct has a field of this name.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        self.parameters.iter().any(|known| known.name == name)
    }

    /// Builds the task's struct from `args`, a JSON array, and `kwargs`, a JSON object.
    ///
    /// Values that kombu wrote as `{"__type__": …, "__value__": …}` are read as plain JSON.
    ///
    /// # Errors
    /// [`BadArguments`] names the task, the argument and what is wrong with it.
    pub fn bind<T: Task>(&self, args: &str, kwargs: &str) -> Result<T, BadArguments> {
        let named = self.match_up(args, kwargs)?;
        let by_keyword_only = args.len() == 2;
        let mut object = if by_keyword_only {
            Cow::Borrowed(kwargs)
        } else {
            Cow::Owned(join(&named))
        };
        if object.contains("__type__") {
            object = Cow::Owned(typed::plain(&object).map_err(|e| self.refuse(e.to_string()))?);
        }
        serde_json::from_str(&object).map_err(|_| self.explain::<T>(&object))
    }

    /// Gives every argument its name: one JSON object from `args`, a JSON array, and `kwargs`, a
    /// JSON object.
    ///
    /// # Errors
    /// [`BadArguments`] when an argument is missing, given twice or not known.
    pub fn named(&self, args: &str, kwargs: &str) -> Result<String, BadArguments> {
        Ok(join(&self.match_up(args, kwargs)?))
    }

    /// Reads the arguments once more, slowly, to learn which one is wrong.
    fn explain<T: Task>(&self, object: &str) -> BadArguments {
        let mut json = serde_json::Deserializer::from_str(object);
        let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut json) else {
            return self.refuse("got bad arguments".to_owned());
        };
        let path = error.path().to_string();
        let text = error.into_inner().to_string();
        // "at line 1 column 9" means nothing to the sender.
        let text = text
            .rfind(" at line ")
            .map_or(text.as_str(), |end| &text[..end]);
        match path.as_str() {
            "." => self.refuse(format!("got bad arguments: {text}")),
            path => self.refuse(format!("got a bad value for argument `{path}`: {text}")),
        }
    }

    /// Gives every argument its name, and refuses those that do not fit.
    fn match_up<'a>(
        &'a self,
        args: &'a str,
        kwargs: &'a str,
    ) -> Result<Vec<Named<'a>>, BadArguments> {
        let by_position: Vec<&RawValue> = serde_json::from_str(args)
            .map_err(|e| self.refuse(format!("got arguments that are no list: {e}")))?;
        let Members(by_name) = serde_json::from_str(kwargs)
            .map_err(|e| self.refuse(format!("got keyword arguments that are no object: {e}")))?;
        let (takes, given) = (self.parameters.len(), by_position.len());
        if given > takes {
            let s = if takes == 1 { "" } else { "s" };
            let were = if given == 1 { "was" } else { "were" };
            return Err(self.refuse(format!(
                "takes {takes} positional argument{s} but {given} {were} given"
            )));
        }
        let names = self
            .parameters
            .iter()
            .map(|p| Cow::Borrowed(p.name.as_str()));
        let mut named: Vec<Named<'_>> = names.zip(by_position).collect();
        for (name, raw) in by_name {
            if named.iter().any(|(n, _)| *n == name) {
                return Err(self.refuse(format!("got multiple values for argument `{name}`")));
            }
            if !self.open && !self.parameters.iter().any(|p| p.name == name) {
                return Err(self.refuse(format!("got an unexpected argument `{name}`")));
            }
            named.push((name, raw));
        }
        self.refuse_missing(&named)?;
        Ok(named)
    }

    fn refuse_missing(&self, named: &[Named<'_>]) -> Result<(), BadArguments> {
        let is_given = |p: &Parameter| named.iter().any(|(name, _)| *name == p.name);
        let missing = self
            .parameters
            .iter()
            .filter(|p| p.required && !is_given(p));
        let missing: Vec<_> = missing.map(|p| format!("`{}`", p.name)).collect();
        match &missing[..] {
            [] => Ok(()),
            [one] => Err(self.refuse(format!("is missing the required argument {one}"))),
            many => Err(self.refuse(format!(
                "is missing the required arguments {}",
                many.join(", ")
            ))),
        }
    }

    fn refuse(&self, what: impl fmt::Display) -> BadArguments {
        BadArguments(format!("`{}` {what}", self.task))
    }
}

/// The members as one JSON object.
fn join(named: &[Named<'_>]) -> String {
    let mut object = String::from("{");
    for (i, (name, raw)) in named.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let name = Value::from(&**name);
        object.push_str(&format!("{comma}{name}:{}", raw.get()));
    }
    object.push('}');
    object
}

/// Members of an object in order; duplicates are kept, so that they can be refused.
struct Members<'a>(Vec<Named<'a>>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(map.size_hint().unwrap_or(4));
                while let Some((name, raw)) = map.next_entry::<Name<'de>, _>()? {
                    members.push((name.0, raw));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Export {
        org: String,
        limit: i64,
        #[serde(default)]
        colour: Option<String>,
    }

    impl Task for Export {
        const NAME: &'static str = "export.project";
        type Output = ();
    }

    fn bind(args: &str, kwargs: &str) -> Result<Export, String> {
        Signature::of::<Export>()
            .bind(args, kwargs)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn position_keyword_and_a_mixture_give_the_same_task() {
        let wanted = Export {
            org: "acme".into(),
            limit: 3,
            colour: None,
        };
        for (args, kwargs) in [
            (r#"["acme", 3]"#, "{}"),
            ("[]", r#"{"limit": 3, "org": "acme"}"#),
            (r#"["acme"]"#, r#"{"limit": 3}"#),
            (r#"["acme", 3, null]"#, "{}"),
            ("[]", r#"{"\u006frg": "acme", "limit": 3}"#),
        ] {
            assert_eq!(bind(args, kwargs).as_ref(), Ok(&wanted), "{args} {kwargs}");
        }
    }

    #[test]
    fn every_misfit_is_named() {
        for (args, kwargs, error) in [
            (
                "[]",
                r#"{"org":"a","limit":1,"color":1}"#,
                "`export.project` got an unexpected argument `color`",
            ),
            (
                r#"["a"]"#,
                r#"{"org":"a","limit":1}"#,
                "`export.project` got multiple values for argument `org`",
            ),
            (
                "[]",
                r#"{"org":"a","org":"b","limit":1}"#,
                "`export.project` got multiple values for argument `org`",
            ),
            (
                r#"["a"]"#,
                "{}",
                "`export.project` is missing the required argument `limit`",
            ),
            (
                "[]",
                "{}",
                "`export.project` is missing the required arguments `org`, `limit`",
            ),
            (
                "[1,2,3,4]",
                "{}",
                "`export.project` takes 3 positional arguments but 4 were given",
            ),
            (
                r#"["a", "b"]"#,
                "{}",
                "`export.project` got a bad value for argument `limit`: invalid type: string \"b\", expected i64",
            ),
            (
                "[]",
                r#"{"org":"a","limit":1180591620717411303424}"#,
                "`export.project` got a bad value for argument `limit`: invalid type: floating point `1.1805916207174113e+21`, expected i64",
            ),
        ] {
            assert_eq!(bind(args, kwargs), Err(error.to_owned()));
        }
    }

    #[test]
    fn a_schema_alone_is_enough_to_name_arguments() {
        let schema = serde_json::json!({
            "properties": {"y": {}, "x": {}},
            "required": ["x"],
        });
        let signature = Signature::from_schema("demo.sub", &schema);
        assert_eq!(
            signature.named("[1]", r#"{"x": 2}"#),
            Ok(r#"{"y":1,"x":2}"#.to_owned())
        );
        let error = signature.named("[1]", "{}").expect_err("x is missing");
        assert_eq!(
            error.to_string(),
            "`demo.sub` is missing the required argument `x`"
        );
    }

    #[test]
    fn a_task_that_takes_a_map_takes_any_name() {
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        struct Open {
            #[serde(flatten)]
            rest: std::collections::BTreeMap<String, i64>,
        }
        impl Task for Open {
            const NAME: &'static str = "demo.open";
            type Output = ();
        }
        let open: Open = Signature::of::<Open>()
            .bind("[]", r#"{"a": 1, "b": 2}"#)
            .expect("binds");
        assert_eq!(open.rest.len(), 2);
    }
}
