//! One field of a record as a value of Lua, and no other: most scripts look at few of them.

use mlua::serde::ser::{Options, Serializer as ToLua};
use mlua::{Error, IntoLua as _, Lua, Table, Value};
use serde::Serialize;
use serde::ser::{Impossible, SerializeStruct, Serializer};

/// `null` is `nil`, and lists are plain tables.
const OPTIONS: Options = Options::new()
    .serialize_none_to_null(false)
    .serialize_unit_to_null(false)
    .set_array_metatable(false);

/// The field of a record at the end of this path; `nil` where it has none of that name.
pub(super) fn pick(lua: &Lua, record: &impl Serialize, path: &[&str]) -> mlua::Result<Value> {
    record.serialize(Pick { lua, path })
}

/// All of a record.
pub(super) fn whole(lua: &Lua, record: &impl Serialize) -> mlua::Result<Table> {
    match record.serialize(ToLua::new_with_options(lua, OPTIONS))? {
        Value::Table(table) => Ok(table),
        _ => lua.create_table(),
    }
}

/// What `pairs` gives for these fields.
pub(super) fn pairs(lua: &Lua, fields: Table) -> mlua::Result<(Value, Table)> {
    let next: Value = lua.globals().raw_get("next")?;
    Ok((next, fields))
}

/// A name that was asked for; `None` where it is no text, as no field's is.
pub(super) fn name(key: &Value) -> Option<mlua::BorrowedStr> {
    key.as_string()?.to_str().ok()
}

#[derive(Clone, Copy)]
struct Pick<'a> {
    lua: &'a Lua,
    path: &'a [&'a str],
}

struct Picked<'a> {
    pick: Pick<'a>,
    value: Value,
}

impl SerializeStruct for Picked<'_> {
    type Ok = Value;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> mlua::Result<()> {
        let Pick { lua, path } = self.pick;
        match path {
            [last] if *last == name => {
                self.value = value.serialize(ToLua::new_with_options(lua, OPTIONS))?;
            }
            [first, rest @ ..] if *first == name => {
                self.value = value.serialize(Pick { lua, path: rest })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(self) -> mlua::Result<Value> {
        Ok(self.value)
    }
}

type Absent = Impossible<Value, Error>;

/// What no record is.
macro_rules! absent {
    ($($name:ident($($type:ty),*) -> $result:ty;)*) => {
        $(fn $name(self, $(_: $type),*) -> Result<$result, Error> {
            not_a_record()
        })*
    };
}

fn not_a_record<T>() -> mlua::Result<T> {
    Err(Error::RuntimeError("this has no fields".to_owned()))
}

impl<'a> Serializer for Pick<'a> {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = Absent;
    type SerializeTuple = Absent;
    type SerializeTupleStruct = Absent;
    type SerializeTupleVariant = Absent;
    type SerializeMap = Absent;
    type SerializeStruct = Picked<'a>;
    type SerializeStructVariant = Absent;

    fn serialize_struct(self, _: &'static str, _: usize) -> mlua::Result<Picked<'a>> {
        Ok(Picked { pick: self, value: Value::Nil })
    }

    fn serialize_none(self) -> mlua::Result<Value> {
        Value::Nil.into_lua(self.lua)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> mlua::Result<Value> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> mlua::Result<Value> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> mlua::Result<Value> {
        not_a_record()
    }

    absent! {
        serialize_bool(bool) -> Value;
        serialize_i8(i8) -> Value;
        serialize_i16(i16) -> Value;
        serialize_i32(i32) -> Value;
        serialize_i64(i64) -> Value;
        serialize_u8(u8) -> Value;
        serialize_u16(u16) -> Value;
        serialize_u32(u32) -> Value;
        serialize_u64(u64) -> Value;
        serialize_f32(f32) -> Value;
        serialize_f64(f64) -> Value;
        serialize_char(char) -> Value;
        serialize_str(&str) -> Value;
        serialize_bytes(&[u8]) -> Value;
        serialize_unit() -> Value;
        serialize_unit_struct(&'static str) -> Value;
        serialize_unit_variant(&'static str, u32, &'static str) -> Value;
        serialize_seq(Option<usize>) -> Absent;
        serialize_tuple(usize) -> Absent;
        serialize_tuple_struct(&'static str, usize) -> Absent;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Absent;
        serialize_map(Option<usize>) -> Absent;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Absent;
    }
}
